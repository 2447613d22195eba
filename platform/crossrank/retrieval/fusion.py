"""Fusion of several rankings of the same corpus into one.

Shape letters: C candidates of one ranking, F candidates of the fused one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

K = 60
"""Constant added to a rank: the larger, the less a first place is worth. See `reciprocal_ranks`."""


def reciprocal_ranks(
    rankings: Sequence[NDArray[np.int32]], k: int = K
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Fuse rankings by rank alone, so that their scores need not be comparable.

    The score of a passage is the sum of ``1 / (k + rank)`` over the rankings that have it, ranks counted from 1.
    The sum is exactly rounded, so it is the same in whatever order the rankings come.

    Args:
        rankings: rows of the corpus, best first, each of shape (C,); none holds a row twice.

    Returns:
        Rows and scores, both of shape (F,), best first. Equal scores are in the order of the best single rank, then of
        the rows.

    Source: Cormack, Clarke & Buettcher, Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods, SIGIR 2009, with its k = 60.
    """
    ranks_of: dict[int, list[int]] = {}
    for rows_C in rankings:
        for rank, row in enumerate(rows_C.tolist(), start=1):
            ranks_of.setdefault(row, []).append(rank)
    fused = [(-math.fsum(1.0 / (k + rank) for rank in ranks), min(ranks), row) for row, ranks in ranks_of.items()]
    fused.sort()
    return (
        np.array([row for _, _, row in fused], dtype=np.int32),
        np.array([-score for score, _, _ in fused], dtype=np.float64),
    )
