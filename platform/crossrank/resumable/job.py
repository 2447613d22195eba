"""The life of a job on its output, from the first look to the finished manifest, alike for every verb with an output.

1. `Job.of` looks at the output and refuses what stands in the way; nothing is written.
2. Where `Job.is_finished` and `Job.lacks_nothing`, `Job.nothing_to_do` ends it, before anything is started.
3. `begin` takes the output for this job alone and writes the first manifest.
4. `Run.give_way` removes what the job replaces, when everything that can be checked has been.
5. `Run.finish` writes the manifest, last of all.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from crossrank import storage
from crossrank.provenance import provenance
from crossrank.resumable.clock import Clock
from crossrank.resumable.earlier import Earlier, look_at, working
from crossrank.resumable.manifest_shape import Shape
from crossrank.resumable.output import Manifest, manifest_of, write_json
from crossrank.resumable.parts import Parts
from crossrank.resumable.settings import JobSettings
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import say


def announce() -> float:
    """Say which code runs; returns when the job started, in seconds since 1970."""
    say(str(provenance()))
    return time.time()


@dataclass(frozen=True, slots=True)
class Job:
    """A job whose settings agree with what its output holds. Nothing is written yet."""

    kind: str
    """The verb."""
    settings: JobSettings
    identity: dict[str, Any]
    """Settings and inputs that have to be equal for the job to go on."""
    earlier: Earlier
    started: float

    @classmethod
    def of(
        cls,
        kind: str,
        settings: JobSettings,
        identity: dict[str, Any],
        started: float,
        read_again: Mapping[str, Shape],
        num_parts: str | None = None,
    ) -> Job:
        """Look at the output; arguments and refusals as those of `look_at`."""
        output = storage.absolute(settings.output)
        return cls(kind, settings, identity, look_at(output, kind, identity, settings, read_again, num_parts), started)

    @property
    def output(self) -> str:
        return self.earlier.output

    @property
    def kept(self) -> Manifest:
        """The manifest of the run that the job goes on with; empty where there is none."""
        return self.earlier.kept or {}

    @property
    def is_replaced(self) -> bool:
        """Whether the job replaces what the output holds."""
        return self.earlier.is_replaced

    @property
    def is_finished(self) -> bool:
        """Whether nothing but lost parts is left to do."""
        return self.earlier.is_finished

    def lacks_nothing(self, lacking: Collection[Any]) -> bool:
        """Whether every part of a finished job is there; says how many are not.

        Args:
            lacking: the parts that are gone or damaged.
        """
        if lacking:
            say(f"{self.output} was finished, and {len(lacking)} of its parts are gone or damaged: making them again")
        return not lacking

    def nothing_to_do(self, result: str) -> Manifest:
        """Say that a finished job does nothing; returns its manifest.

        Args:
            result: what the job made, such as ``12 groups``.
        """
        say(f"{self.output} is finished: {result}; nothing to do")
        return self.kept


@dataclass(slots=True)
class Run:
    """A job at work, the only one that writes its output."""

    job: Job
    manifest: Manifest
    lease: Lease
    clock: Clock = field(default_factory=Clock)

    @property
    def output(self) -> str:
        return self.job.output

    def give_way(self, parts: Parts | None, uris: Iterable[str]) -> None:
        """Remove what the job replaces, after all checks; see `Earlier.give_way`."""
        self.job.earlier.give_way(self.manifest, parts, uris)

    def save(self, **facts: Any) -> None:
        """Write facts into the manifest that a run which goes on has to know."""
        self.lease.check()
        self.manifest |= facts
        write_json(manifest_of(self.output), self.manifest)

    def finish(self, **facts: Any) -> Manifest:
        """Write the manifest, last of all; returns it.

        Args:
            facts: figures of the result, for the manifest.
        """
        self.save(state="finished", **({"seconds": self.clock.laps} | facts), finished=time.time())
        storage.delete_leftovers(self.output)
        return self.manifest


@contextmanager
def begin(job: Job, **facts: Any) -> Iterator[Run]:
    """Start a job: take the right to write its output alone, and write its first manifest; see `working`.

    Args:
        facts: entries of the manifest that this verb has beside those of every job.
    """
    manifest = {
        "kind": job.kind,
        "state": "running",
        "crossrank": asdict(provenance()),
        "settings": asdict(job.settings),
        "identity": job.identity,
        **facts,
        "started": job.started,
    }
    with working(job.earlier, manifest) as lease:
        yield Run(job, manifest, lease)
