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
"""Candidates as the first stage found them, and with the judged documents that it missed behind them."""
ALL = 1 << 30

Values = dict[str, NDArray[np.float64]]
"""By measure, a value a query."""


@dataclass(frozen=True, slots=True)
class PairScores:
    """What a model gave every pair, for the pictures of how its scores lie."""

    scores_P: NDArray[np.float32]
    labels_P: NDArray[np.floating[Any]]
    """NaN where unjudged."""
    relevant_from: float | None = None
    """As that of `Lists`."""


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one row, query by query."""

    name: str
    model: str | None
    """None for the first stage alone."""
    values: dict[str, Values]
    """By table."""
    ranks_Q: NDArray[np.int32]
    """Rank of the first relevant document among those retrieved; 0 where there is none."""
    tops_Q: NDArray[np.int32]
    """Place, in the list of the query, of the retrieved document that it puts first; -1 where there is none."""
    tie_rate: float
    incomplete: int
    """Queries without scores, which count 0."""
    manifest: dict[str, Any]
    """Of the rerank job; empty for the first stage."""
    scores: PairScores | None
    scale: Scale = "logit"
    """What the scores are."""


def rerank_with(
    settings: EvaluateSettings, name: str, spec: ScorerSpec, written: WrittenCandidates, output: str
) -> dict[str, Any]:
    """Score all candidates with one model, or go on with it; returns the job's manifest.

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
    """Whether the rerank job of a row has every part, by this very model, and a server's every answer."""
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
    """Where the rerank job of a row works."""
    return storage.join(output, "_rows", slug(name))


def slug(name: str) -> str:
    """A name as part of a path: readable, and another for each name."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "row"
    return readable if readable == name else f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def first_stage_row(name: str, lists: Lists, measures: list[str]) -> Row:
    """The order of the first stage."""
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
    """What a model made of the candidates."""
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
        PairScores(rankings.scores_P, labels_P, lists.relevant_from),
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
    """These queries as they are measured. A document is named by its place in the list of its query.

    Args:
        lengths_Q: documents of each list that are measured.
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
