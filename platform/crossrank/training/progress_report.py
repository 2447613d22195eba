"""Report of a run while it goes on: a table of step 0, a line every few seconds, a line for every validation."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from crossrank.cluster.pool import Pool
from crossrank.telemetry.job_metrics import (
    GRADIENT_NORM,
    LEARNING_RATE,
    LOSS,
    PAIRS,
    RESTARTS,
    ROWS_READ,
    SKIPPED_STEPS,
    STEPS,
    TOKENS,
    TRUNCATED,
    VALIDATION,
)
from crossrank.telemetry.progress import Progress, say
from crossrank.training.best_checkpoint import MOST_TIED
from crossrank.training.inputs import TrainingGroups
from crossrank.training.sizing import Sizes

TIED = "of the documents have the score of another of their query, so it cannot be the result"
IDLE_WARNING = "a step has fewer micro-batches than there are workers, so some wait; lower micro_batch_tokens"


class ProgressReport:
    """Report of the history, row by row. Training goes on inside its ``with`` block."""

    def __init__(self, sizes: Sizes, read: TrainingGroups, pool: Pool) -> None:
        self._sizes = sizes
        self._read = read
        self._pool = pool
        self._done: int | None = None
        self._said_idle = False
        self._progress = Progress("steps", sizes.num_steps)

    def begin(self) -> None:
        """Say the size of the run, and what was set aside."""
        sizes = self._sizes
        held_out = f", {len(self._read.validate):,} held out" if self._read.validate else ", none held out"
        held_out += f", {len(self._read.level):,} more for the bias of the head" if self._read.level else ""
        say(
            f"{sizes.num_groups:,} groups{held_out}; {sizes.num_steps:,} steps, a checkpoint every "
            f"{sizes.save_steps:,}; micro-batches of {sizes.budget} tokens; {sizes.precision}"
        )
        for name, counts in self._read.counts().items():
            if counts["set_aside"]:
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts["set_aside"].items()))
                say(f"set aside of the groups to {name}{'' if name == 'level' else ' on'}: {reasons}; see _rejected/")
            ROWS_READ.add(counts["groups"] + sum(counts["set_aside"].values()))

    def baselines(self, rows: dict[str, Any]) -> None:
        """Say the measures of step 0."""
        for name, measured in rows.items():
            say(f"step 0, {name}: {_as_text(measured.means())}")
        if "no reranker" not in rows:
            say("no row without a reranker: the held-out groups do not say the initial rank of their documents")

    def __enter__(self) -> ProgressReport:
        self._progress.__enter__()
        self._progress.advance(0, "workers are starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)

    def row(self, row: dict[str, Any]) -> None:
        """Report a row of the history, or the step at which the workers begin."""
        if "began" in row:
            self._begin_at(row["began"])
        elif "validation" in row:
            text = _as_text(row["validation"])
            text += f"; {row['tie_rate']:.0%} {TIED}" if row["tie_rate"] > MOST_TIED else ""
            say(f"step {row['step']:,}: {text}", step=row["step"], validation=row["validation"])
            for name, value in row["validation"].items():
                VALIDATION.set(value, measure=name)
        else:
            self._trained(row)

    def _begin_at(self, step: int) -> None:
        if self._done is not None:
            say(f"a worker died; going on from step {step:,}")
            RESTARTS.add()
        elif step:
            say(f"{step:,} steps were done before")
        self._progress.advance(step - (self._done or 0))
        self._done = step

    def _trained(self, row: dict[str, Any]) -> None:
        if row["busy_ranks"] < self._pool.min_workers and not self._said_idle:
            self._said_idle = True
            say(IDLE_WARNING)
        self._progress.advance(row["step"] - (self._done or 0), _detail(row))
        self._done = row["step"]
        _count(row)


def _count(row: dict[str, Any]) -> None:
    """Count the steps of a row for Prometheus."""
    STEPS.add(row["steps"])
    SKIPPED_STEPS.add(row["skipped"])
    PAIRS.add(row["pairs"])
    TOKENS.add(row["tokens"])
    TRUNCATED.add(row["truncated"])
    LEARNING_RATE.set(row["learning_rate"])
    if row["loss"] is not None:
        LOSS.set(row["loss"])
        GRADIENT_NORM.set(row["grad_norm"])


def _detail(row: dict[str, Any]) -> str:
    loss = "no number" if row["loss"] is None else f"{row['loss']:.4f}"
    skipped = f", {row['skipped']} skipped" if row["skipped"] else ""
    return f"loss {loss}, {row['groups_per_second']:,.1f} groups/s{skipped}"


def _as_text(means: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in means.items())
