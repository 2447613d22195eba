"""What a ranking is worth to each query, by `ir_measures`.

Every judged query counts: one that has no ranking has 0. Rankings come in their order, so that what a library does with
equal scores is no matter (trec_eval takes the later document id first, others the earlier).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import SettingsError

CHUNK_QUERIES = 2000
"""Queries that are measured together: the library holds a copy of them."""
KINDS = {"success": "Success", "mrr": "RR", "ndcg": "nDCG", "recall": "R", "precision": "P", "map": "AP"}
"""Our names, and those of `ir_measures`."""
NAME = re.compile(r"(success|mrr|ndcg|recall|precision)@([1-9][0-9]*)|map(?:@([1-9][0-9]*))?")


@dataclass(frozen=True, slots=True)
class Judged:
    """A query as it is measured."""

    ranking: Sequence[str]
    """Document ids, best first."""
    labels: Mapping[str, float]
    """Of every judged document, retrieved or not: above 0 is relevant, and worth as much."""


def measure(queries: Iterable[Judged], names: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The measures of each query, in their order.

    Args:
        names: ``success@K`` is 1 where a relevant document is among the first K (has-right-in-contexts), ``mrr@K`` one
            over the rank of the first, ``ndcg@K`` with the label as gain (Järvelin and Kekäläinen 2002, as trec_eval
            has it), ``recall@K``, ``precision@K``, and ``map`` over the whole ranking or ``map@K``.

    Raises:
        SettingsError: a name that is none of these.
    """
    import ir_measures

    wanted = {_measure_of(name): name for name in names}
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for chunk in _chunks(queries):
        qrels = {
            str(place): {doc_id: _gain(label) for doc_id, label in query.labels.items()}
            for place, query in enumerate(chunk)
            if query.labels
        }
        run = {
            str(place): dict(zip(query.ranking, range(len(query.ranking), 0, -1), strict=True))
            for place, query in enumerate(chunk)
            if query.ranking
        }
        values = {name: np.zeros(len(chunk)) for name in names}
        if qrels and run:
            for value in ir_measures.iter_calc(list(wanted), qrels, run):
                values[wanted[value.measure]][int(value.query_id)] = value.value
        for name, values_Q in values.items():
            found[name].append(values_Q)
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}


def tie_rate(scores: Iterable[NDArray[np.floating[Any]]]) -> float:
    """Documents whose score another document of the same query has too, over all documents."""
    tied = total = 0
    for scores_D in scores:
        _, counts = np.unique(scores_D, return_counts=True)
        tied += int(counts[counts > 1].sum())
        total += len(scores_D)
    return tied / total if total else 0.0


def _measure_of(name: str) -> Any:
    import ir_measures

    found = NAME.fullmatch(name)
    if found is None:
        raise SettingsError(
            f"{name!r} is no measure; use success@K, mrr@K, ndcg@K, recall@K, precision@K, map or map@K with K from 1"
        )
    measure = getattr(ir_measures, KINDS[name.split("@")[0]])
    cutoff = found[2] or found[3]
    return measure @ int(cutoff) if cutoff else measure


def _gain(label: float) -> int:
    """A judgement as trec_eval takes it: a whole number, at least 1 for any positive; unjudged is not relevant."""
    return max(1, round(label)) if label > 0 else 0


def _chunks(queries: Iterable[Judged]) -> Iterator[list[Judged]]:
    left = iter(queries)
    while chunk := list(islice(left, CHUNK_QUERIES)):
        yield chunk
