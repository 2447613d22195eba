"""nDCG with the labels as gains, whatever number they are.

Libraries take whole labels alone: pytrec_eval, behind `ir_measures`, cuts fractions off, counts in an array as long as
the highest label (20 GB for one of 3e9), and takes 2^31 for a negative one; gdeval, ranx and trectools count in whole
numbers too. On whole labels this equals theirs.

Shape letters: R ranks, J judged documents that have a gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def ndcg(ranking: Sequence[str], labels: Mapping[str, float], cutoff: int) -> float:
    """Discounted cumulative gain of the first documents over that of the best order (Järvelin and Kekäläinen 2002).

    Each gain is divided by log2(1 + rank), as trec_eval has it. A label of 0 or below gains nothing, like a document
    that nobody judged; a query without any gain is worth 0.

    Args:
        ranking: document ids, best first.
        labels: labels of every judged document, retrieved or not.
        cutoff: ranks that count, from the first.
    """
    gains_J = np.array([label for label in labels.values() if label > 0], dtype=np.float64)
    if not len(gains_J):
        return 0.0
    highest = gains_J.max()  # shares of it: a sum of labels near the end of what a float holds would be infinite
    gains_R = np.array([max(labels.get(doc_id, 0.0), 0.0) for doc_id in ranking[:cutoff]], dtype=np.float64)
    best_R = np.sort(gains_J)[::-1][:cutoff]
    return _discounted(gains_R / highest) / _discounted(best_R / highest)


def _discounted(gains_R: np.ndarray) -> float:
    return float((gains_R / np.log2(np.arange(2, len(gains_R) + 2))).sum())
