"""The earlier run in an output, and whether a job goes on with it, replaces it, or refuses it.

Only `working` and `Earlier.give_way` change files. A job calls them when everything that can be checked has been: a
flag that is refused leaves the output as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from crossrank import storage
from crossrank.errors import OutputError, UserError
from crossrank.resumable.differences import AFRESH, Named, in_words
from crossrank.resumable.manifest_shape import Shape, damage
from crossrank.resumable.output import Manifest, alone, manifest_of, read_json, remove, write_json
from crossrank.resumable.parts import Parts
from crossrank.resumable.settings import JobSettings
from crossrank.storage.lease import LOCK, Lease

PREPARATIONS = ("_prepared/", "_rejected/", "_candidates/")
"""Folders of an output whose files are made again in minutes, but for those that the next two constants name."""
SEARCHES = "_prepared/found-"
"""Prefix of the files in which `mine` keeps what an encoder found."""
DENSE = "_candidates/dense/"
"""Folder in which `evaluate` keeps what an encoder found."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The earlier run that an output holds, if it holds one, and what becomes of it."""

    output: str
    manifest: Manifest | None
    is_replaced: bool
    """Whether the earlier run is replaced: by --overwrite, or since it had other settings and had done nothing."""

    @property
    def kept(self) -> Manifest | None:
        """The manifest of the run that the job goes on with; None where there is none."""
        return None if self.is_replaced else self.manifest

    @property
    def is_finished(self) -> bool:
        """Whether nothing but lost parts is left to do."""
        return self.kept is not None and self.kept["state"] == "finished"

    def give_way(self, manifest: Manifest, parts: Parts | None, uris: Iterable[str]) -> None:
        """Remove what the job replaces and write the new manifest. Does nothing for a job that goes on or is the first.

        Args:
            manifest: manifest of the new job.
            parts: parts to remove; None for a job without parts.
            uris: other files and folders that the earlier run wrote.
        """
        if not self.is_replaced or self.manifest is None:
            return
        # Cut off anywhere, this leaves a job that is not finished and goes on with the parts that are left: they go
        # first, since what belongs to a part is written before it.
        write_json(manifest_of(self.output), self.manifest | {"state": "running"})
        if parts is not None:
            parts.delete_parts()
        for uri in uris:
            remove(uri)
        write_json(manifest_of(self.output), manifest)


def look_at(
    output: str,
    kind: str,
    identity: dict[str, Any],
    settings: JobSettings,
    read_again: Mapping[str, Shape],
    num_parts: str | None = None,
) -> Earlier:
    """Judge what an earlier run left in an output by the settings of the job that wants to write there.

    Args:
        kind: the verb, such as ``rerank``.
        identity: what has to be the same for the job to go on.
        read_again: what the verb reads in the manifest of a finished job.
        num_parts: key under which that has how many parts there are; None for a job whose result is no table, in whose
            output none has a place.

    Raises:
        OutputError: the folder holds what no job of this kind wrote, a table beside its parts, a job with other
            settings or inputs that has done some of its work, or a manifest that no job left so.
    """
    before = earlier_run(output, kind)
    broken = None if before is None else damage(before, read_again)
    if broken is not None and not settings.overwrite:
        raise OutputError(f"{manifest_of(output)} is damaged ({broken}); {AFRESH}")
    if not settings.dry_run:
        whole = {} if before is None or broken is not None else before
        known = whole.get(num_parts) if num_parts is not None else 0
        Parts(output).refuse_foreign_tables(known)
    if before is None or settings.overwrite:
        return Earlier(output, before, before is not None)
    differences = in_words(before, identity, Named(asdict(settings), {each.name: each for each in fields(settings)}))
    if not differences:
        return Earlier(output, before, False)
    if before["state"] != "finished" and nothing_is_done(output):
        return Earlier(output, before, True)
    raise OutputError(f"{output} holds a job with other settings ({'; '.join(differences)}); {AFRESH}")


def earlier_run(output: str, kind: str) -> Manifest | None:
    """The manifest of an earlier run in this output, None in an empty one.

    Args:
        kind: the verb, such as ``rerank``.

    Raises:
        OutputError: the folder holds what no job of this kind wrote.
    """
    if not storage.exists(manifest_of(output)):
        # A job that was killed while it started afresh may have left its lock.
        foreign = [file.uri for file in storage.list_files(output) if not file.uri.endswith(f"/{LOCK}")]
        if foreign == [output]:
            raise OutputError(f"{output} is a file, and the output of {kind} is a folder; name another --output")
        if foreign:
            raise OutputError(
                f"{output} holds files that no {kind} job wrote, such as {foreign[0]}; name an empty folder"
            )
        return None
    manifest = read_json(manifest_of(output))
    # A manifest without a kind is of `crossrank rerank`.
    if "identity" not in manifest or manifest.get("kind", "rerank") != kind:
        raise OutputError(f"{output} holds the result of another kind of job; name another --output")
    return manifest


def nothing_is_done(output: str) -> bool:
    """Whether an output holds no part, no paid row, no checkpoint and nothing that was searched for, of any job."""
    begins = f"{storage.absolute(output).rstrip('/')}/"
    names = (file.uri.removeprefix(begins) for file in storage.list_files(output, recursive=True))
    return not any(
        name.startswith((SEARCHES, DENSE)) or not (name in ("_manifest.json", LOCK) or name.startswith(PREPARATIONS))
        for name in names
    )


@contextmanager
def working(earlier: Earlier, manifest: Manifest) -> Iterator[Lease]:
    """Hold the right to write an output alone, and write its first manifest; what is replaced stays until `give_way`.

    A job that is refused before it has done anything leaves nothing behind that would stand in the way of the next.

    Args:
        earlier: what `look_at` found in the output.
        manifest: manifest of the new job, written at once where the output was empty.

    Raises:
        OutputError: another job is at work there, or was since the manifest was read.
    """
    output, before = earlier.output, earlier.manifest
    with alone(output) as lease:
        if before != (read_json(manifest_of(output)) if storage.exists(manifest_of(output)) else None):
            raise OutputError(f"another job wrote {output} just now; run the same command again to see what is there")
        if before is None:
            write_json(manifest_of(output), manifest)
        elif earlier.is_finished:
            write_json(manifest_of(output), before | {"state": "running"})
        try:
            yield lease
        except UserError:
            is_new = before is None or earlier.is_replaced
            if is_new and not lease.is_lost and nothing_is_done(output):
                for name in (*PREPARATIONS, "_manifest.json"):
                    remove(storage.join(output, name.rstrip("/")))
            raise
