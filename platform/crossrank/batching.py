"""Batches within a token budget, cut by token counts: the kernel that scoring, serving and training share.

One pure function. Order, priority and fairness belong to the callers.

Shape letters: U units, B units of one batch.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import UnitOverBudget

Cost = Literal["padded", "packed"]


def cut(
    lengths_U: NDArray[np.integer] | list[int],
    budget: int,
    cost: Cost = "padded",
    unit: str = "pair",
    rows_U: NDArray[np.integer] | list[int] | None = None,
) -> list[NDArray[np.int64]]:
    """Cut units into batches of which none costs more than `budget` token slots.

    Units are taken longest first: the first unit of a batch fixes its width, neighbours in length share
    a batch so that padding is small, and the widest batch comes first, where running out of memory is cheap.
    Equal lengths keep their input order, so the result depends on nothing but the arguments.

    Args:
        lengths_U: tokens of each row of a unit, special tokens included; for a unit of several rows, those of its
            longest row where padding costs, and of all its rows where it does not. Shape (U,).
        budget: token slots that one batch may hold.
        cost: ``padded`` counts ``rows * longest``, ``packed`` counts the tokens themselves.
        unit: name of a unit, for the error: a pair for scoring, a group for training.
        rows_U: rows of each unit, where they are not one each: the pairs of a group. Shape (U,).

    Returns:
        Index arrays of shape (B,) each. Together they are a permutation of ``0..U-1``, so
        ``scores[batch] = forward(batch)`` puts every score back in input order.

    Raises:
        UnitOverBudget: one unit alone is over the budget. Nothing is dropped or truncated.
    """
    lengths = np.asarray(lengths_U, dtype=np.int64)
    if lengths.size == 0:
        return []
    rows = np.ones_like(lengths) if rows_U is None or cost == "packed" else np.asarray(rows_U, dtype=np.int64)
    costs = lengths * rows
    costliest = int(np.argmax(costs))
    if costs[costliest] > budget:
        raise UnitOverBudget(
            f"{unit} {costliest} has {costs[costliest]} tokens, over the budget of {budget}; "
            f"shorten its documents (--max-length) or raise the token budget"
        )
    order = np.argsort(-lengths, kind="stable")
    batches: list[NDArray[np.int64]] = []
    start, taken_rows, taken_tokens = 0, 0, 0
    for position, index in enumerate(order):
        taken_rows += int(rows[index])
        taken_tokens += int(lengths[index])
        if (int(lengths[order[start]]) * taken_rows if cost == "padded" else taken_tokens) > budget:
            batches.append(order[start:position])
            start, taken_rows, taken_tokens = position, int(rows[index]), int(lengths[index])
    batches.append(order[start:])
    return batches
