"""From token counts to batches within a token budget: the kernel that scoring, serving and training share.

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
    lengths_U: NDArray[np.integer] | list[int], budget: int, cost: Cost = "padded", unit: str = "pair"
) -> list[NDArray[np.int64]]:
    """Cut units into batches of which none costs more than `budget` token slots.

    Units are taken longest first: the first unit of a batch fixes its width, neighbours in length share
    a batch so that padding is small, and the widest batch comes first, where running out of memory is cheap.
    Equal lengths keep their input order, so the result depends on nothing but the arguments.

    Args:
        lengths_U: tokens of each unit, special tokens included. Shape (U,).
        budget: token slots that one batch may hold.
        cost: ``padded`` counts ``B * longest``, ``packed`` counts the tokens themselves.
        unit: what a unit is, for the error: a pair for scoring, a group for training.

    Returns:
        Index arrays of shape (B,) each. Together they are a permutation of ``0..U-1``, so
        ``scores[batch] = forward(batch)`` puts every score back in input order.

    Raises:
        UnitOverBudget: one unit alone is over the budget. Nothing is dropped or truncated here.
    """
    lengths = np.asarray(lengths_U, dtype=np.int64)
    if lengths.size == 0:
        return []
    order = np.argsort(-lengths, kind="stable")
    longest = int(order[0])
    if lengths[longest] > budget:
        raise UnitOverBudget(
            f"{unit} {longest} has {lengths[longest]} tokens, over the budget of {budget}; "
            f"shorten its documents (--max-length) or raise the token budget"
        )
    batches: list[NDArray[np.int64]] = []
    start, total = 0, 0
    for position, index in enumerate(order):
        tokens = int(lengths[index])
        width = int(lengths[order[start]])
        would_cost = width * (position - start + 1) if cost == "padded" else total + tokens
        if would_cost > budget:
            batches.append(order[start:position])
            start, total = position, 0
        total += tokens
    batches.append(order[start:])
    return batches
