"""Measures of rankings: `MEASURES` is the table of them, which evaluate, its report and training read.

A new measure is a row of it, and a name in `reported` for the report or in `Metric` for training. Measures of hits are
computed by `ir_measures`, nDCG by `gains`.

Every judged query counts: one that has no ranking has 0. Rankings come in their order, so that what a library does with
equal scores is no matter (trec_eval takes the later document id first, others the earlier). The library is given 1 for
a relevant document and 0 for any other, so no label is out of its range.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import SettingsError
from crossrank.evaluation import gains, guessing
from crossrank.evaluation.relevance import is_relevant

Metric = Literal["mrr@10", "ndcg@10", "success@3"]
"""Measures of a validation while training; one of them chooses the best checkpoint."""
VALIDATED: tuple[str, ...] = get_args(Metric)
MAIN = "mrr@10"
"""Measure that the verdict of a report is about."""
CHUNK_QUERIES = 2000
"""Queries that are measured together: the library holds a copy of them."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A row of `MEASURES`."""

    label: str
    """Name as people write it, before the cutoff."""
    of_hits: str | None = None
    """Name in `ir_measures`, for a measure that knows relevant and not."""
    of_gains: Callable[[Sequence[str], Mapping[str, float], int], float] | None = None
    """Function of a ranking, the labels as gains, and the cutoff, for a measure that is not in `ir_measures`."""
    guessed: Callable[[NDArray[np.floating[Any]], int], float] | None = None
    """Mean over all orders of documents with these labels, for a measure of `Metric`; see `guessing`."""
    takes_whole: bool = False
    """Whether it may stand without a cutoff, over the whole ranking."""
    note: str | None = None
    """Explanation for readers of a report, where the name does not say it; ``{cutoff}`` is filled in."""
    article: str = "a"
    """Article before the label, as it is spoken."""


MEASURES = {
    "success": Measure(
        "has right in contexts",
        of_hits="Success",
        guessed=guessing.success,
        note="a relevant document is among the first {cutoff} (Success@{cutoff})",
    ),
    "mrr": Measure("MRR", of_hits="RR", guessed=guessing.reciprocal_rank, article="an"),
    "ndcg": Measure("nDCG", of_gains=gains.ndcg, guessed=guessing.ndcg, article="an"),
    "recall": Measure("Recall", of_hits="R"),
    "precision": Measure("Precision", of_hits="P"),
    "map": Measure("MAP", of_hits="AP", takes_whole=True),
}
"""Measures by the part of their names before the ``@``."""
NAME = re.compile(rf"({'|'.join(MEASURES)})(?:@([1-9][0-9]*))?")


def reported(contexts: int) -> list[str]:
    """The measures of a report, in the order of its columns.

    Args:
        contexts: documents that a reader, such as a language model, is given.
    """
    return [f"success@{contexts}", MAIN, "ndcg@10", "recall@10", "map"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A query with its ranking and its labels, to be measured."""

    ranking: Sequence[str]
    """Document ids, best first."""
    labels: Mapping[str, float]
    """Labels of every judged document, retrieved or not."""


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
    parsed = {name: parse(name) for name in names}
    hits = {name: each for name, each in parsed.items() if each[0].of_hits is not None}
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for chunk in _chunks(queries):
        values = _hits(chunk, hits, relevant_from) if hits else {}
        for name, (row, cutoff) in parsed.items():
            if row.of_gains is not None:
                assert cutoff is not None, "parse wants one"
                values[name] = np.array([row.of_gains(query.ranking, query.labels, cutoff) for query in chunk])
            found[name].append(values[name])
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in found.items()}


def parse(name: str) -> tuple[Measure, int | None]:
    """The row of a measure and its cutoff, which is None for one over the whole ranking.

    Raises:
        SettingsError: the name is that of no measure.
    """
    found = NAME.fullmatch(name)
    if found is None or (found[2] is None and not MEASURES[found[1]].takes_whole):
        whole = [kind for kind, row in MEASURES.items() if row.takes_whole]
        names = [f"{kind}@K" for kind in MEASURES if kind not in whole]
        names += [each for kind in whole for each in (kind, f"{kind}@K")]
        raise SettingsError(f"{name!r} is no measure; use {', '.join(names[:-1])} or {names[-1]} with K from 1")
    return MEASURES[found[1]], int(found[2]) if found[2] else None


def expected(name: str, labels_D: NDArray[np.floating[Any]]) -> float:
    """The mean of a measure over all orders of a query's documents: a model below it has learnt nothing.

    Args:
        name: one of `VALIDATED`, with any cutoff.
        labels_D: labels of all documents that are ranked, NaN where nobody judged.
    """
    row, cutoff = parse(name)
    assert row.guessed is not None, f"a measure of training says what guessing gives, and {name} does not"
    assert cutoff is not None, "a measure of training has a cutoff"
    return row.guessed(labels_D, cutoff)


def tie_rate(scores: Iterable[NDArray[np.floating[Any]]]) -> float:
    """Documents whose score another document of the same query has too, over all documents."""
    tied = total = 0
    for scores_D in scores:
        _, counts = np.unique(scores_D, return_counts=True)
        tied += int(counts[counts > 1].sum())
        total += len(scores_D)
    return tied / total if total else 0.0


def _hits(
    chunk: Sequence[Judged], parsed: Mapping[str, tuple[Measure, int | None]], relevant_from: float | None
) -> dict[str, NDArray[np.float64]]:
    """Values of the measures of hits, by name, one a query."""
    import ir_measures

    wanted = {}
    for name, (row, cutoff) in parsed.items():
        assert row.of_hits is not None, "measures of hits alone are asked for"
        kind = getattr(ir_measures, row.of_hits)
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
    values = {name: np.zeros(len(chunk)) for name in parsed}
    if qrels and run:
        for value in ir_measures.iter_calc(list(wanted), qrels, run):
            values[wanted[value.measure]][int(value.query_id)] = value.value
    return values


def _chunks(queries: Iterable[Judged]) -> Iterator[list[Judged]]:
    left = iter(queries)
    while chunk := list(islice(left, CHUNK_QUERIES)):
        yield chunk
