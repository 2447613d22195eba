"""One row of the table: a rerank job over the candidates, and the rankings that it gave.

Shape letters: Q queries, P pairs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crossrank import storage
from crossrank.evaluation.candidates import Facts, Written, read_candidates
from crossrank.evaluation.measures import Judged, measure
from crossrank.evaluation.server import ServerSpec, is_url
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.records import Candidate, Group
from crossrank.reranking.job import rerank
from crossrank.reranking.layout import Layout
from crossrank.reranking.settings import RerankSettings

TABLES = ("retrieved", "injected")
"""Candidates as the first stage found them, and with the judged documents that it missed behind them."""
ALL = 1 << 30
CHUNK_QUERIES = 2000


@dataclass(frozen=True, slots=True)
class Scores:
    """What a model gave every pair, for the pictures of how its scores lie."""

    scores_P: NDArray[np.float32]
    labels_P: NDArray[np.float32]
    """NaN where unjudged."""


@dataclass(frozen=True, slots=True)
class Row:
    """The measures of one row, query by query."""

    name: str
    model: str | None
    """None for the first stage alone."""
    values: dict[str, dict[str, NDArray[np.float64]]]
    """By table, by measure, a value a query."""
    places_Q: NDArray[np.int32]
    """Rank of the first relevant document among those retrieved; 0 where there is none."""
    tie_rate: float
    incomplete: int
    """Queries without scores, which count 0."""
    manifest: dict[str, Any]
    """Of the rerank job; empty for the first stage."""
    scores: Scores | None


def rerank_with(settings: EvaluateSettings, name: str, model: str, written: Written, output: str) -> dict[str, Any]:
    """Score all candidates with one model, or go on with it; returns the job's manifest."""
    spec = ServerSpec(name, model, settings.timeout_s) if is_url(model) else None
    given = RerankSettings(
        model=model,
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
        output=folder_of(output, name),
        run=run_of(output, name),
        workers=settings.workers,
        gpus_per_worker=settings.gpus_per_worker,
        overwrite=settings.overwrite,
    )
    return rerank(given, spec)


def folder_of(output: str, name: str) -> str:
    """Where the rerank job of a row works."""
    return storage.join(output, "_rows", _slug(name))


def run_of(output: str, name: str) -> str:
    """The TREC run of a row."""
    return storage.join(output, "runs", f"{_slug(name)}.trec")


def _slug(name: str) -> str:
    """A name as part of a path: readable, and another for each name."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "row"
    return readable if readable == name else f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def first_stage_row(name: str, written: Written, measures: list[str]) -> Row:
    """The order of the first stage."""
    rankings = ((group, facts, list(group.docs)) for group, facts in read_candidates(written))
    return _row(name, None, rankings, measures, {})


def model_row(
    name: str, model: str, written: Written, output: str, manifest: dict[str, Any], measures: list[str]
) -> Row:
    """What a model made of the candidates."""
    return _row(name, model, ranked(written, folder_of(output, name)), measures, manifest)


Ranked = tuple[Group, Facts, list[Candidate] | None]
"""A query with its documents, best first; None where the model gave no scores."""


def ranked(written: Written, folder: str) -> Iterator[Ranked]:
    """The queries with the documents as the rerank job in `folder` ordered them."""
    results = _results(Layout(folder))
    for (group, facts), result in zip(read_candidates(written), results, strict=True):
        assert group.query_id == result["query_id"], "a rerank job keeps the order of its queries"
        by_id = {doc.doc_id: doc for doc in group.docs}
        if result["status"] == "ok" or not group.docs:
            yield group, facts, [_scored(by_id[doc["doc_id"]], doc["score"]) for doc in result["docs"]]
        else:
            yield group, facts, None


def _scored(doc: Candidate, score: float) -> Candidate:
    return Candidate(doc.doc_id, label=doc.label, rank=doc.rank, score=score)


def _results(layout: Layout) -> Iterator[dict[str, Any]]:
    for number in sorted(layout.finished_parts()):
        with storage.open_seekable(layout.part(number)) as stream:
            table = pq.read_table(stream, columns=["query_id", "status", "docs"])
        yield from table.to_pylist()


def _row(
    name: str, model: str | None, rankings: Iterator[Ranked], measures: list[str], manifest: dict[str, Any]
) -> Row:
    values: dict[str, dict[str, list[NDArray[np.float64]]]] = {
        table: {each: [] for each in measures} for table in TABLES
    }
    places: list[int] = []
    scores: list[float] = []
    labels: list[float] = []
    tied = incomplete = 0
    while chunk := list(islice(rankings, CHUNK_QUERIES)):
        judged: dict[str, list[Judged]] = {table: [] for table in TABLES}
        for group, facts, docs in chunk:
            incomplete += docs is None
            relevance = {doc.doc_id: doc.label for doc in group.docs if doc.label is not None} | facts.elsewhere
            ranking = docs or []
            retrieved = [doc for doc in ranking if doc.rank is not None and doc.rank <= facts.retrieved]
            judged["retrieved"].append(Judged([doc.doc_id for doc in retrieved], relevance))
            judged["injected"].append(Judged([doc.doc_id for doc in ranking], relevance))
            places.append(next((rank for rank, doc in enumerate(retrieved, 1) if (doc.label or 0) > 0), 0))
            if model is not None:
                own = [doc.score for doc in ranking if doc.score is not None]
                scores += own
                labels += [float("nan") if doc.label is None else doc.label for doc in ranking]
                _, counts = np.unique(np.array(own, dtype=np.float32), return_counts=True)
                tied += int(counts[counts > 1].sum())
        for table, queries in judged.items():
            for each, found in measure(queries, measures).items():
                values[table][each].append(found)
    return Row(
        name,
        model,
        {table: {each: np.concatenate(parts) for each, parts in of.items()} for table, of in values.items()},
        np.array(places, dtype=np.int32),
        tied / len(scores) if scores else 0.0,
        incomplete,
        manifest,
        Scores(np.array(scores, dtype=np.float32), np.array(labels, dtype=np.float32)) if model is not None else None,
    )
