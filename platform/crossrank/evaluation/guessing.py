"""Values of measures for guessing, where documents stand in any order: a model below them has learnt nothing.

They are exact means over all orders of a query's documents, not over a sample. Each function takes the labels of all
documents that are ranked, NaN where nobody judged, and the cutoff, and is 0 where no document is relevant.
`measures.expected` chooses among them.

Shape letters: D documents of a query, G those that have a gain.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.relevance import are_relevant


def success(labels_D: NDArray[np.floating[Any]], cutoff: int) -> float:
    """Mean Success: one less the share of orders that begin with `cutoff` documents that are not relevant."""
    documents, relevant = len(labels_D), _relevant(labels_D)
    return 1 - math.comb(documents - relevant, min(cutoff, documents)) / math.comb(documents, min(cutoff, documents))


def reciprocal_rank(labels_D: NDArray[np.floating[Any]], cutoff: int) -> float:
    """Mean reciprocal rank. The first relevant document has a rank in as many orders as the others fit behind it."""
    documents, relevant = len(labels_D), _relevant(labels_D)
    if not relevant:
        return 0.0
    ranks = range(1, min(cutoff, documents) + 1)
    all_places = math.comb(documents, relevant)
    return sum(math.comb(documents - rank, relevant - 1) / all_places / rank for rank in ranks)


def ndcg(labels_D: NDArray[np.floating[Any]], cutoff: int) -> float:
    """Mean nDCG: over all orders every rank has the mean gain."""
    if not _relevant(labels_D):
        return 0.0
    gains_G = np.sort(labels_D[labels_D > 0].astype(np.float64))[::-1]
    gains_G = gains_G / gains_G[0]
    discounts_D = 1 / np.log2(np.arange(2, len(labels_D) + 2))[:cutoff]
    ideal = float((gains_G[:cutoff] * discounts_D[: len(gains_G)]).sum())
    return float(gains_G.sum() / len(labels_D) * discounts_D.sum()) / ideal


def _relevant(labels_D: NDArray[np.floating[Any]]) -> int:
    return int(are_relevant(labels_D).sum())
