"""What a ranking is worth to each query: hits by `ir_measures`, and nDCG by `gains`.

Every judged query counts: one that has no ranking has 0. Rankings come in their order, so that what a library does with
equal scores is no matter (trec_eval takes the later document id first, others the earlier). The library is given 1 for
a relevant document and 0 for any other, so no label is out of its range.
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
from crossrank.evaluation.gains import ndcg
from crossrank.evaluation.relevance import is_relevant

CHUNK_QUERIES = 2000
"""Queries that are measured together: the library holds a copy of them."""
HITS = {"success": "Success", "mrr": "RR", "recall": "R", "precision": "P", "map": "AP"}
"""Measures that know relevant and not: our names, and those of `ir_measures`."""
NAME = re.compile(r"(success|mrr|ndcg|recall|precision)@([1-9][0-9]*)|map(?:@([1-9][0-9]*))?")


@dataclass(frozen=True, slots=True)
class Judged:
    """A query as it is measured."""

    ranking: Sequence[str]
    """Document ids, best first."""
    labels: Mapping[str, float]
    """Of every judged document, retrieved or not."""


def measure(
    queries: Iterable[Judged], names: Sequence[str], relevant_from: float | None = None
) -> dict[str, NDArray[np.float64]]:
    """The measures of each query, in their order.

    Args:
        names: ``success@K`` is 1 where a relevant document is among the first K (has-right-in-contexts), ``mrr@K`` one
            over the rank of the first, ``ndcg@K`` with the label as gain (see `gains.ndcg`), ``recall@K``,
            ``precision@K``, and ``map`` over the whole ranking or ``map@K``.
        relevant_from: the lowest label of a relevant document; None for any above 0. nDCG takes no notice of it.

    Raises:
        SettingsError: a name that is none of these.
    """
    cutoffs = {name: _cutoff_of(name) for name in names}
    hits = {name: cutoff for name, cutoff in cutoffs.items() if not name.startswith("ndcg")}
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for chunk in _chunks(queries):
        values = _hits(chunk, hits, relevant_from) if hits else {}
        for name, cutoff in cutoffs.items():
            if name not in hits:
                assert cutoff is not None, "the pattern of names"
                values[name] = np.array([ndcg(query.ranking, query.labels, cutoff) for query in chunk])
            found[name].append(values[name])
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}


def tie_rate(scores: Iterable[NDArray[np.floating[Any]]]) -> float:
    """Documents whose score another document of the same query has too, over all documents."""
    tied = total = 0
    for scores_D in scores:
        _, counts = np.unique(scores_D, return_counts=True)
        tied += int(counts[counts > 1].sum())
        total += len(scores_D)
    return tied / total if total else 0.0


def _hits(
    chunk: Sequence[Judged], cutoffs: Mapping[str, int | None], relevant_from: float | None
) -> dict[str, NDArray[np.float64]]:
    """The measures that know relevant and not, of each query."""
    import ir_measures

    wanted = {}
    for name, cutoff in cutoffs.items():
        kind = getattr(ir_measures, HITS[name.split("@")[0]])
        wanted[kind @ cutoff if cutoff else kind] = name
    qrels = {
        str(place): {doc_id: int(is_relevant(label, relevant_from)) for doc_id, label in query.labels.items()}
        for place, query in enumerate(chunk)
        if query.labels
    }
    run = {
        str(place): dict(zip(query.ranking, range(len(query.ranking), 0, -1), strict=True))
        for place, query in enumerate(chunk)
        if query.ranking
    }
    values = {name: np.zeros(len(chunk)) for name in cutoffs}
    if qrels and run:
        for value in ir_measures.iter_calc(list(wanted), qrels, run):
            values[wanted[value.measure]][int(value.query_id)] = value.value
    return values


def _cutoff_of(name: str) -> int | None:
    """The K of a measure; None for one over the whole ranking."""
    found = NAME.fullmatch(name)
    if found is None:
        raise SettingsError(
            f"{name!r} is no measure; use success@K, mrr@K, ndcg@K, recall@K, precision@K, map or map@K with K from 1"
        )
    cutoff = found[2] or found[3]
    return int(cutoff) if cutoff else None


def _chunks(queries: Iterable[Judged]) -> Iterator[list[Judged]]:
    left = iter(queries)
    while chunk := list(islice(left, CHUNK_QUERIES)):
        yield chunk
