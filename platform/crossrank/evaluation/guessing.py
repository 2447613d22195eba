"""What measures are worth where documents stand in any order: a model below that has learnt nothing.

Exact means over all orders of a query's documents, and no draw of some.

Shape letters: D documents of a query, G those that have a gain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.relevance import are_relevant


def expected(name: str, labels_D: NDArray[np.floating[Any]]) -> float:
    """The mean of a measure over all orders; 0 where no document is relevant.

    Args:
        name: ``success@K``, ``mrr@K`` or ``ndcg@K``.
        labels_D: of all documents that are ranked, NaN where nobody judged.
    """
    kind, _, cutoff = name.partition("@")
    relevant = int(are_relevant(labels_D).sum())
    if not relevant:
        return 0.0
    by_kind = {"success": _success, "mrr": _reciprocal_rank}
    if kind in by_kind:
        return by_kind[kind](len(labels_D), relevant, int(cutoff))
    return _ndcg(labels_D, int(cutoff))


def _success(documents: int, relevant: int, cutoff: int) -> float:
    """One less the share of orders that begin with `cutoff` documents that are not relevant."""
    return 1 - math.comb(documents - relevant, min(cutoff, documents)) / math.comb(documents, min(cutoff, documents))


def _reciprocal_rank(documents: int, relevant: int, cutoff: int) -> float:
    """The first relevant document is at a rank in as many orders as the other relevant ones fit behind it."""
    ranks = range(1, min(cutoff, documents) + 1)
    all_places = math.comb(documents, relevant)
    return sum(math.comb(documents - rank, relevant - 1) / all_places / rank for rank in ranks)


def _ndcg(labels_D: NDArray[np.floating[Any]], cutoff: int) -> float:
    """Every rank has the mean gain."""
    gains_G = np.sort(labels_D[labels_D > 0].astype(np.float64))[::-1]
    gains_G = gains_G / gains_G[0]
    discounts_D = 1 / np.log2(np.arange(2, len(labels_D) + 2))[:cutoff]
    ideal = float((gains_G[:cutoff] * discounts_D[: len(gains_G)]).sum())
    return float(gains_G.sum() / len(labels_D) * discounts_D.sum()) / ideal
