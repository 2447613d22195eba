"""Validation on held-out groups: is a model better than no reranker, than the base, than the checkpoint before?

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
"""Function that scores the documents of these groups: an array of shape (D,) for each group."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Result of a validation: the measures of each group."""

    values: dict[str, list[float]]
    """Values by measure, one a group."""
    tie_rate: float
    """Documents whose score another document of the group has too, over all documents."""

    def means(self) -> dict[str, float]:
        """Mean over all groups, by measure."""
        return {name: float(np.mean(values)) for name, values in self.values.items()}

    def state(self) -> dict[str, Any]:
        """The result as JSON holds it."""
        return {"values": self.values, "tie_rate": self.tie_rate}

    @classmethod
    def of(cls, state: dict[str, Any]) -> Measured:
        """Read what `state` gave."""
        return cls(state["values"], state["tie_rate"])


def measure(groups: GroupStore, score: ScoreGroups) -> Measured:
    """Score all groups and measure each."""
    ties = 0.0

    def judged() -> Iterator[Judged]:
        nonlocal ties
        for chunk in _chunks(len(groups)):
            scores = score(groups, chunk)
            ties += tie_rate(scores) * sum(map(len, scores))
            for group, scores_D in zip(chunk, scores, strict=True):
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


def initial_order(groups: GroupStore, numbers: Sequence[int]) -> list[NDArray[np.float32]]:
    """Scores that keep the order of the first stage: those of no reranker."""
    return [-np.arange(len(groups.documents(group).rows_D), dtype=np.float32) for group in numbers]


def by_scorer(scorer: Scorer) -> ScoreGroups:
    """Scores of a reranker, as logits."""

    def score(groups: GroupStore, numbers: Sequence[int]) -> list[NDArray[np.float32]]:
        documents = [groups.documents(group) for group in numbers]
        rows = _rows(documents)
        queries = scorer.encoder.queries(groups.queries(numbers))
        texts = scorer.encoder.documents(groups.texts(rows))
        sizes = [len(each.rows_D) for each in documents]
        scored = scorer.score_encoded(queries, texts, np.repeat(np.arange(len(numbers)), sizes), np.arange(len(texts)))
        return _split(scored.logits_P, sizes)

    return score


def by_cosine(encoder: Encoder) -> ScoreGroups:
    """Cosines between query and document, for a base that is an encoder without a head."""

    def score(groups: GroupStore, numbers: Sequence[int]) -> list[NDArray[np.float32]]:
        documents = [groups.documents(group) for group in numbers]
        sizes = [len(each.rows_D) for each in documents]
        queries = np.repeat(encoder.queries(groups.queries(numbers)), sizes, axis=0)
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
