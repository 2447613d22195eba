"""Held-out groups scored and measured: is it better than no reranker, better than the base, better than before?

Every group counts. Documents are ordered by their logits in float32, equal ones as the store has them: by their initial
rank, or by a hash where there is none, so that a model that cannot tell them apart is worth a guess.

Shape letters: Q groups (queries), D documents of one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation import measures
from crossrank.evaluation.measures import VALIDATED, Judged, expected, tie_rate
from crossrank.retrieval.encoder import Encoder
from crossrank.scoring.interfaces import Scorer
from crossrank.training.groups import GroupDocuments, GroupStore

CHUNK_GROUPS = 256
"""Groups that are scored together."""

ScoreGroups = Callable[[GroupStore, Sequence[int]], list[NDArray[np.float32]]]
"""Scores of the documents of each of these groups."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table: the measures of each group."""

    values: dict[str, list[float]]
    """By measure, a value a group."""
    tie_rate: float
    """Documents whose score another document of the group has too, over all documents."""

    def means(self) -> dict[str, float]:
        """By measure, over all groups."""
        return {name: float(np.mean(values)) for name, values in self.values.items()}

    def state(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"values": self.values, "tie_rate": self.tie_rate}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Measured:
        """The inverse of `state`."""
        return cls(state["values"], state["tie_rate"])


def measure(groups: GroupStore, score: ScoreGroups) -> Measured:
    """The measures of a validation, of every group."""
    ties = 0.0

    def judged() -> Iterator[Judged]:
        nonlocal ties
        for some in _chunks(len(groups)):
            scores = score(groups, some)
            ties += tie_rate(scores) * sum(map(len, scores))
            for group, scores_D in zip(some, scores, strict=True):
                labels = {
                    str(document): label
                    for document, label in enumerate(groups.documents(group).labels_D.tolist())
                    if not math.isnan(label)
                }
                yield Judged([str(document) for document in np.argsort(-scores_D, kind="stable")], labels)

    values = measures.measure(judged(), VALIDATED)
    return Measured({name: values_Q.tolist() for name, values_Q in values.items()}, ties / max(1, groups.num_documents))


def guessing(groups: GroupStore | None) -> dict[str, dict[str, float]]:
    """The mean measures of a model that cannot tell documents apart, under its name; nothing without groups."""
    if groups is None:
        return {}
    labels = [groups.documents(group).labels_D for group in range(len(groups))]
    means = {name: float(np.mean([expected(name, labels_D) for labels_D in labels])) for name in VALIDATED}
    return {"guessing": means}


def initial_order(groups: GroupStore, some: Sequence[int]) -> list[NDArray[np.float32]]:
    """No reranker: the documents as the first stage had them."""
    return [-np.arange(len(groups.documents(group).rows_D), dtype=np.float32) for group in some]


def by_scorer(scorer: Scorer) -> ScoreGroups:
    """What a reranker gives."""

    def score(groups: GroupStore, some: Sequence[int]) -> list[NDArray[np.float32]]:
        documents = [groups.documents(group) for group in some]
        rows = _rows(documents)
        queries = scorer.encoder.queries(groups.queries(some))
        texts = scorer.encoder.documents(groups.texts(rows))
        sizes = [len(each.rows_D) for each in documents]
        scored = scorer.score_encoded(queries, texts, np.repeat(np.arange(len(some)), sizes), np.arange(len(texts)))
        return _split(scored.logits_P, sizes)

    return score


def by_cosine(encoder: Encoder) -> ScoreGroups:
    """The cosine between query and document, for a base that is an encoder without a head."""

    def score(groups: GroupStore, some: Sequence[int]) -> list[NDArray[np.float32]]:
        documents = [groups.documents(group) for group in some]
        sizes = [len(each.rows_D) for each in documents]
        queries = np.repeat(encoder.queries(groups.queries(some)), sizes, axis=0)
        return _split((queries * encoder.passages(groups.texts(_rows(documents)))).sum(axis=1), sizes)

    return score


def _rows(documents: list[GroupDocuments]) -> list[int]:
    rows: list[int] = np.concatenate([each.rows_D for each in documents]).tolist()
    return rows


def _split(values: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    return np.split(values, np.cumsum(sizes)[:-1])


def _chunks(num_groups: int) -> Iterator[list[int]]:
    for start in range(0, num_groups, CHUNK_GROUPS):
        yield list(range(start, min(start + CHUNK_GROUPS, num_groups)))
