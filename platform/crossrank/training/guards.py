"""Guards that stop a training which goes wrong while nobody looks: collapse, and gradients that are no numbers.

FlagEmbedding's users report twenty epochs at ln 2 and models that give every pair the same score; nothing had said so.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from crossrank.errors import JobFailed

GUESSING_SHARE = 0.99
"""Share of the loss of guessing from which on a mean loss has learnt nothing, unless it falls."""
FALLING_SHARE = 0.98
"""Share of the earlier half of the losses up to which the later half counts as falling: a head with large weights may
begin far above the loss of guessing."""
EQUAL_SPREAD = 1e-4
"""Logits that the scores of a group lie apart when they count as equal, at most."""


class TrainingStopped(JobFailed):
    """Training that cannot go on; the message says why and what to change."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Figures of one step, over all ranks."""

    step: int
    """Number of the step, counted from 0; messages count from 1."""
    loss: float
    """Loss that is trained: the weighted sum of the terms, mean over the groups of the step."""
    guessing: float
    """Loss of a model that cannot tell the documents of a group apart, mean over the same groups."""
    spread: float
    """Largest minus smallest score of a group, mean over the groups."""
    is_finite: bool
    """Whether loss and gradient are numbers."""


class Guards:
    """Guards over every step. Their state is a small dictionary, kept with each checkpoint."""

    def __init__(self, collapse_patience: int, max_skipped_steps: int, reads_teacher: bool = False) -> None:
        self._patience = collapse_patience
        self._look_at = "the labels and the teacher's scores (teacher_scale)" if reads_teacher else "the labels"
        self._max_skipped = max_skipped_steps
        self.skipped = 0
        """Steps of the whole run whose gradients were no numbers."""
        self._in_a_row = 0
        self._losses: deque[tuple[float, float]] = deque(maxlen=max(1, collapse_patience))
        self._equal_steps = 0

    def see(self, seen: Seen) -> None:
        """Take note of a step.

        Raises:
            TrainingStopped: nothing was learnt in `collapse_patience` steps, the scores of every group were equal in
                as many, or more than `max_skipped_steps` in a row had gradients that are no numbers.
        """
        if not seen.is_finite:
            self._skip(seen.step)
            return
        self._in_a_row = 0
        self._losses.append((seen.loss, seen.guessing))
        self._equal_steps = self._equal_steps + 1 if seen.spread < EQUAL_SPREAD else 0
        if not self._patience:
            return
        if self._equal_steps >= self._patience:
            raise TrainingStopped(
                f"collapsed: at step {seen.step + 1} the scores of every group had been equal for {self._equal_steps} "
                f"steps; lower learning_rate, or start from another base"
            )
        if len(self._losses) == self._patience and self.loss_share() >= GUESSING_SHARE and not self._falls():
            raise TrainingStopped(
                f"collapsed: over the {self._patience} steps up to {seen.step + 1} the loss was "
                f"{self.loss_share():.3f} of that of a model that cannot tell documents apart; change learning_rate, "
                f"look at {self._look_at}, or raise collapse_patience if it is only slow"
            )

    def loss_share(self) -> float:
        """Mean loss of the last steps over that of guessing; NaN where guessing costs nothing."""
        guessing = sum(guessing for _, guessing in self._losses)
        return sum(loss for loss, _ in self._losses) / guessing if guessing else math.nan

    def _falls(self) -> bool:
        losses = [loss for loss, _ in self._losses]
        half = len(losses) // 2
        return half > 0 and sum(losses[-half:]) <= FALLING_SHARE * sum(losses[:half])

    def _skip(self, step: int) -> None:
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row > self._max_skipped:
            raise TrainingStopped(
                f"step {step + 1} is number {self._in_a_row} in a row whose gradient is no number, over "
                f"max_skipped_steps ({self._max_skipped}); lower learning_rate, or use --precision bf16 or fp32"
            )

    def state(self) -> dict[str, object]:
        """State to be kept with a checkpoint."""
        return {
            "skipped": self.skipped,
            "in_a_row": self._in_a_row,
            "objective": [list(pair) for pair in self._losses],
            "equal_steps": self._equal_steps,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from what `state` gave.

        Earlier versions kept ``losses``, the cross-entropy against the labels, whatever loss was trained. It says
        nothing of another loss, so the steps are counted anew.
        """
        kept: list[list[float]] = state.get("objective", [])  # type: ignore[assignment]
        self.skipped, self._in_a_row, self._equal_steps = (
            int(state[name])  # type: ignore[call-overload]
            for name in ("skipped", "in_a_row", "equal_steps")
        )
        self._losses.clear()
        self._losses.extend((loss, guessing) for loss, guessing in kept)
