"""The best checkpoint so far, and whether to go on: a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MOST_TIED = 0.5
"""Share of the held-out documents that may have the score of another of their query. A checkpoint with more does not
rank: its measures say how ties were broken."""


BASE = 0
"""The step of the base, which is the result where no checkpoint that was measured ranks."""
NONE_RANKS = "every checkpoint gives over half of the held-out documents the score of another of their query"


@dataclass(frozen=True, slots=True)
class Validated:
    """Result of the validation of a checkpoint."""

    value: float
    """Value of the measure that decides."""
    tie_rate: float
    """Share of the held-out documents that have the score of another of their query, from 0 to 1."""

    @property
    def can_be_best(self) -> bool:
        return self.tie_rate <= MOST_TIED


@dataclass(frozen=True, slots=True)
class Best:
    """The decision that follows from the validations so far."""

    step: int | None
    """Step of the best checkpoint, of the earliest among equal ones; None before the first that ranks."""
    patience_is_out: bool
    """Whether training should stop."""


def best_of(validated: Mapping[int, Validated], patience: int) -> Best:
    """Read the validations in the order of their steps.

    Args:
        validated: results by step.
        patience: validations without a better one after which training stops; 0 never stops it.
    """
    best: int | None = None
    since = 0
    for step in sorted(validated):
        result = validated[step]
        if result.can_be_best and (best is None or result.value > validated[best].value):
            best, since = step, 0
        else:
            since += 1
    return Best(best, bool(patience) and since >= patience)
