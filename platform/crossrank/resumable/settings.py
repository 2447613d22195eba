"""The flags that every job has."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from crossrank.cluster.pool import WorkerRequest
from crossrank.config.bounds import WHOLE_MOST
from crossrank.config.plain_numbers import plain_whole
from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings(CheckedSettings):
    """The flags that every job has."""

    output: str = option(help="Folder for the result, a local path or s3://bucket/folder.", affects_output=False)
    workers: str | None = option(
        None,
        help="Workers: N, or MIN:MAX for a pool that scales; default one per GPU, or, to score on CPU, one per core.",
        affects_output=False,
    )
    gpus_per_worker: float | None = option(
        None,
        help="GPUs per worker, a fraction to share one; default 1 where the cluster has GPUs, else 0.",
        affects_output=False,
        least=0,
        refusal="; use 0 for CPU, or a positive number",
    )
    accelerator: str | None = option(
        None,
        help="Kind of GPU by Ray's name, such as L4 or H100, where the cluster has several; default any.",
        affects_output=False,
    )
    dry_run: bool = option(False, help="Say pairs, tokens and hours from a sample, and stop.", affects_output=False)
    limit: int | None = option(None, help="Take the first N queries only.", least=1)
    overwrite: bool = option(False, help="Throw away what the output holds and start afresh.", affects_output=False)

    def check(self) -> None:
        if not self.output:
            raise SettingsError("--output is empty; name a folder")
        self.wanted()

    def wanted(self) -> WorkerRequest:
        """The workers that these flags ask for.

        Raises:
            SettingsError: an impossible number of workers or GPUs, or a kind of GPU for workers without one.
        """
        gpus = self.gpus_per_worker
        if self.accelerator is not None:
            gpus = 1.0 if gpus is None else gpus
            if not gpus:
                raise SettingsError(
                    f"--accelerator is {self.accelerator}, and --gpus-per-worker is 0; leave one of them out"
                )
        return WorkerRequest(self.worker_range(), gpus, self.accelerator)

    def of_every_job(self) -> dict[str, Any]:
        """The values of the flags that every job has, for a job that runs inside this one."""
        return {each.name: getattr(self, each.name) for each in fields(JobSettings)}

    def worker_range(self) -> tuple[int, int] | None:
        """The smallest and the largest number of workers; None where --workers was not given."""
        if self.workers is None:
            return None
        try:
            bounds = [plain_whole(part) for part in self.workers.split(":")]
        except ValueError:
            bounds = []
        if len(bounds) not in (1, 2) or bounds[0] < 1 or not bounds[0] <= bounds[-1] <= WHOLE_MOST:
            raise SettingsError(f"--workers is {self.workers!r}; use a number from 1, or MIN:MAX such as 1:8")
        return bounds[0], bounds[-1]


def that_affect_output(settings: Any) -> dict[str, Any]:
    """The settings that have to match when a job is resumed."""
    return {each.name: getattr(settings, each.name) for each in fields(settings) if each.metadata["affects_output"]}
