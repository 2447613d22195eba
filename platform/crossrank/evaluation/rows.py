"""One row of the table: a rerank job over the candidates, and the measures of what it gave.

Shape letters: Q queries, P pairs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.evaluation.candidates import WrittenCandidates
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.measures import Judged, measure
from crossrank.evaluation.server_system import ServerSpec
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.evaluation.systems import Scale, scale_of
from crossrank.reranking.job import left_of, reranked
from crossrank.reranking.manifest import READ_AGAIN
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.layout import Layout
from crossrank.resumable.manifest_shape import damage
from crossrank.resumable.output import read_json
from crossrank.scoring.spec import ScorerSpec

TABLES = ("retrieved", "injected")
"""Tables: candidates as the first stage found them, and with the judged documents that it missed behind them."""
ALL = 1 << 30
"""Depth that cuts no candidate off."""

Values = dict[str, NDArray[np.float64]]
"""Values by measure, one a query."""


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """Scores of every pair by a model, for the pictures of their distribution."""

    scores_P: NDArray[np.float32]
    labels_P: NDArray[np.floating[Any]]
    """Labels; NaN where unjudged."""
    relevant_from: float | None = None
    """Lowest label of a relevant document, as in `Lists`."""


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one row, query by query."""

    name: str
    model: str | None
    """Model behind the row; None for the first stage alone."""
    values: dict[str, Values]
    """Measures by table."""
    ranks_Q: NDArray[np.int32]
    """Rank of the first relevant document among those retrieved; 0 where there is none."""
    tops_Q: NDArray[np.int32]
    """Place, in the list of the query, of the retrieved document that the row puts first; -1 where there is none."""
    tie_rate: float
    """Share of the documents whose score another document of the same query has too, from 0 to 1."""
    incomplete: int
    """Queries without scores, which count 0."""
    manifest: dict[str, Any]
    """Manifest of the rerank job; empty for the first stage."""
    scores: ScoredPairs | None
    """Scores of every pair; None for the first stage."""
    scale: Scale = "logit"
    """Kind of the scores."""


def rerank_with(
    settings: EvaluateSettings, name: str, spec: ScorerSpec, written: WrittenCandidates, output: str
) -> dict[str, Any]:
    """Score all candidates with one model, in a rerank job that goes on where it was; returns its manifest.

    A server is asked again for what it left without scores.
    """
    given = RerankSettings(
        model=settings.named_models()[name],
        groups=written.groups,
        corpus=written.corpus,
        doc_id_column=settings.doc_id_column,
        title_column=settings.title_column,
        text_column=settings.text_column,
        depth=ALL,
        top_n=0,
        max_length=settings.max_length,
        precision=settings.precision,
        instruction=settings.instruction,
        # The candidates are limited already.
        **settings.of_every_job() | {"output": folder_of(output, name), "limit": None},
    )
    return reranked(given, spec, asks_again=isinstance(spec, ServerSpec), places=settings.places())


def is_whole(spec: ScorerSpec, folder: str) -> bool:
    """Whether the rerank job of a row is finished by this very model, no part or answer of a server missing."""
    layout = Layout(folder)
    if not storage.exists(layout.manifest):
        return False
    manifest = read_json(layout.manifest)
    if damage(manifest, READ_AGAIN) or manifest["state"] != "finished":
        return False
    if manifest["identity"].get("model_revision") != spec.revision:
        return False
    return not left_of(layout, manifest, asks_again=isinstance(spec, ServerSpec))


def folder_of(output: str, name: str) -> str:
    """Output folder of the rerank job of a row."""
    return storage.join(output, "_rows", slug(name))


def slug(name: str) -> str:
    """The name as part of a path: readable, and different for different names."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "row"
    return readable if readable == name else f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def first_stage_row(name: str, lists: Lists, measures: list[str]) -> Row:
    """The row of the order of the first stage."""
    rankings = lists.in_order()
    values = _values(lists, rankings, measures)
    return Row(name, None, values, *_ends(lists, rankings), 0.0, 0, {}, None)


def model_row(
    name: str,
    model: str,
    spec: ScorerSpec,
    lists: Lists,
    output: str,
    manifest: dict[str, Any],
    measures: list[str],
) -> Row:
    """The row of a model, from the output of its rerank job."""
    rankings = Rankings.read(lists, folder_of(output, name))
    values = _values(lists, rankings, measures)
    labels_P = lists.labels_P[rankings.places_P + np.repeat(lists.starts_Q[:-1], np.diff(rankings.starts_Q))]
    return Row(
        name,
        model,
        values,
        *_ends(lists, rankings),
        rankings.tie_rate(),
        int(rankings.is_missing_Q.sum()),
        manifest,
        ScoredPairs(rankings.scores_P, labels_P, lists.relevant_from),
        scale_of(spec),
    )


def _values(lists: Lists, rankings: Rankings, measures: list[str]) -> dict[str, Values]:
    """The measures of both tables. Where nothing was injected they are the same, and measured once."""
    judged = _judged(lists, rankings, range(len(lists.facts)), lists.retrieved_Q)
    retrieved = measure(judged, measures, lists.relevant_from)
    injected = {name: values_Q.copy() for name, values_Q in retrieved.items()}
    queries = np.flatnonzero(lists.lengths_Q > lists.retrieved_Q)
    if len(queries):
        judged = _judged(lists, rankings, queries.tolist(), lists.lengths_Q)
        for name, found in measure(judged, measures, lists.relevant_from).items():
            injected[name][queries] = found
    return {"retrieved": retrieved, "injected": injected}


def _judged(lists: Lists, rankings: Rankings, queries: Iterable[int], lengths_Q: NDArray[np.int64]) -> Iterator[Judged]:
    """Rankings and labels of these queries, to be measured. A document is named by its place in the list of its query.

    Args:
        lengths_Q: number of documents of each list that are measured, from the first.
    """
    names = [str(place) for place in range(int(lists.lengths_Q.max(initial=0)))]
    for query in queries:
        ranked = rankings.places_P[rankings.starts_Q[query] : rankings.starts_Q[query + 1]]
        labels_D = lists.labels_P[lists.starts_Q[query] : lists.starts_Q[query + 1]]
        judged = np.flatnonzero(~np.isnan(labels_D))
        labels = {names[place]: float(labels_D[place]) for place in judged.tolist()}
        labels |= {f"elsewhere {doc_id}": label for doc_id, label in lists.facts[query].elsewhere.items()}
        yield Judged([names[place] for place in ranked[ranked < lengths_Q[query]].tolist()], labels)


def _ends(lists: Lists, rankings: Rankings) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The rank of the first relevant document, and the place of the first document, of those retrieved."""
    ranks_Q = np.zeros(len(lists.facts), dtype=np.int32)
    tops_Q = np.full(len(lists.facts), -1, dtype=np.int32)
    is_relevant_P = lists.is_relevant_P
    for query, (ranked, start, retrieved) in enumerate(
        zip(rankings.lists(), lists.starts_Q, lists.retrieved_Q, strict=False)
    ):
        kept = ranked[ranked < retrieved]
        if len(kept):
            tops_Q[query] = kept[0]
            is_relevant = is_relevant_P[start + kept]
            ranks_Q[query] = int(is_relevant.argmax()) + 1 if is_relevant.any() else 0
    return ranks_Q, tops_Q
