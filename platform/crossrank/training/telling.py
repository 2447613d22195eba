"""What a run says while it goes on: a table of step 0, a line every few seconds, a line for every validation."""

from __future__ import annotations

from typing import Any

from crossrank.cluster.pool import Pool
from crossrank.progress import LINE_EVERY_S, say
from crossrank.training.inputs import Read
from crossrank.training.sizing import Sizes

IDLE_WARNING = "a step has fewer micro-batches than there are workers, so some wait; lower micro_batch_tokens"


class Telling:
    """Says rows of the history as they come."""

    def __init__(self, sizes: Sizes, read: Read, pool: Pool) -> None:
        self._sizes = sizes
        self._read = read
        self._pool = pool
        self._last_step = 0
        self._last_time = float("-inf")
        self._told_idle = False

    def begin(self) -> None:
        """The size of the run."""
        sizes = self._sizes
        held_out = f", {len(self._read.validate):,} held out" if self._read.validate else ", none held out"
        say(
            f"{sizes.num_groups:,} groups{held_out}; {sizes.num_steps:,} steps, a checkpoint every "
            f"{sizes.save_steps:,}; micro-batches of {sizes.budget} tokens; {sizes.precision}"
        )
        for name, counts in self._read.counts().items():
            if counts["set_aside"]:
                told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts["set_aside"].items()))
                say(f"set aside of the groups to {name} on: {told}")

    def baselines(self, rows: dict[str, Any]) -> None:
        """What there is without training."""
        for name, measured in rows.items():
            say(f"step 0, {name}: {_told(measured.means())}")
        if "no reranker" not in rows:
            say("no row without a reranker: the held-out groups do not say the initial rank of their documents")

    def row(self, row: dict[str, Any]) -> None:
        """A row of the history: of every validation, and of training every few seconds."""
        if "validation" in row:
            say(f"step {row['step']:,}: {_told(row['validation'])}")
            return
        if row["step"] <= self._last_step:
            say(f"a worker died; going on from step {row['step'] - row['steps']:,}")
        self._last_step = row["step"]
        if row["busy_ranks"] < self._pool.least and not self._told_idle:
            self._told_idle = True
            say(IDLE_WARNING)
        if row["time"] - self._last_time >= LINE_EVERY_S or row["step"] == self._sizes.num_steps:
            self._last_time = row["time"]
            say(self._line(row))

    def _line(self, row: dict[str, Any]) -> str:
        share = 100 * row["step"] / self._sizes.num_steps
        loss = "no number" if row["loss"] is None else f"{row['loss']:.4f}"
        parts = [
            f"step {row['step']:,} of {self._sizes.num_steps:,} ({share:.0f} %)",
            f"loss {loss}",
            f"{row['groups_per_second']:,.1f} groups/s",
            f"rate {row['learning_rate']:.2e}",
        ]
        if row["skipped"]:
            parts.append(f"{row['skipped']} skipped")
        return ", ".join(parts)


def _told(means: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in means.items())
