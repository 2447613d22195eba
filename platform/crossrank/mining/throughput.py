"""How fast one worker encodes, searches and scores, to tell how long a job will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossrank.derived import Chosen
from crossrank.mining.work import Task
from crossrank.retrieval.dense import Shard, search
from crossrank.retrieval.first_stage import open_bm25
from crossrank.retrieval.vectors import SHARD_ROWS
from crossrank.telemetry.job_context import work_for

LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts like those of the job."""

    queries: list[str]
    passages: list[str]


def measure(task: Task, sample: Sample, threads: int) -> dict[str, float]:
    """Speeds of one worker, each as what it does in a second; only of what the job has.

    Returns:
        ``bm25_queries``, ``passages`` encoded, ``products`` of a query and a passage, ``pairs`` that the teacher scores
        and ``tokens_per_pair``.
    """
    work_for(task.environment)
    store = task.corpus.open()
    index = open_bm25(store, Chosen(task.language, "as chosen"))
    seconds, _ = _timed(lambda: index.search(sample.queries, task.rules.depth))
    found = {"bm25_queries": len(sample.queries) / seconds}
    if task.encoder is not None:
        encoder = task.encoder.load(threads)
        encoder.passages(sample.passages[:4])  # the first call sets up kernels and buffers
        seconds, vectors = _timed(lambda: encoder.passages(sample.passages))
        found["passages"] = len(sample.passages) / seconds
        queries = encoder.queries(sample.queries)
        rows = np.resize(vectors, (SHARD_ROWS, vectors.shape[1]))
        shard = Shard(0, rows, np.ones(len(rows), dtype=bool))
        seconds, _ = _timed(lambda: search(queries, [shard], task.rules.depth))
        found["products"] = len(queries) * SHARD_ROWS / seconds
    if task.teacher is not None:
        scorer = task.teacher.load(threads)
        num_pairs = min(len(sample.queries), len(sample.passages))
        places = np.arange(num_pairs)
        queries_encoded = scorer.encoder.queries(sample.queries[:num_pairs])
        documents = scorer.encoder.documents(sample.passages[:num_pairs])
        scorer.score_encoded(queries_encoded[:2], documents[:2], places[:2], places[:2])
        seconds, scored = _timed(lambda: scorer.score_encoded(queries_encoded, documents, places, places))
        found["pairs"] = num_pairs / seconds
        found["tokens_per_pair"] = float(scored.tokens_P.mean())
    return found


def _timed(act: Callable[[], Any]) -> tuple[float, Any]:
    started = time.monotonic()
    result = act()
    return max(time.monotonic() - started, LEAST_S), result
