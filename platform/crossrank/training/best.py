"""Which checkpoint is the best so far, and whether to go on: a pure function of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Best:
    """What the validations so far say."""

    step: int | None
    """Of the best checkpoint; of equal ones the earliest. None before the first result."""
    patience_is_out: bool


def best_of(values: Mapping[int, float], patience: int) -> Best:
    """Read the validations in the order of their steps.

    Args:
        values: the measure of each step that has a result.
        patience: validations without a better one after which training stops; 0 never stops it.
    """
    best: int | None = None
    since = 0
    for step in sorted(values):
        if best is None or values[step] > values[best]:
            best, since = step, 0
        else:
            since += 1
    return Best(best, bool(patience) and since >= patience)
