"""Which checkpoint is the best so far, and whether to go on: a pure function of what was measured."""

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
    """What a validation says of a checkpoint."""

    value: float
    """Of the measure that decides."""
    tie_rate: float

    @property
    def can_be_best(self) -> bool:
        return self.tie_rate <= MOST_TIED


@dataclass(frozen=True, slots=True)
class Best:
    """What the validations so far say."""

    step: int | None
    """Of the best checkpoint; of equal ones the earliest. None before the first that ranks."""
    patience_is_out: bool


def best_of(validated: Mapping[int, Validated], patience: int) -> Best:
    """Read the validations in the order of their steps.

    Args:
        validated: each step that has a result.
        patience: validations without a better one after which training stops; 0 never stops it.
    """
    best: int | None = None
    since = 0
    for step in sorted(validated):
        found = validated[step]
        if found.can_be_best and (best is None or found.value > validated[best].value):
            best, since = step, 0
        else:
            since += 1
    return Best(best, bool(patience) and since >= patience)
