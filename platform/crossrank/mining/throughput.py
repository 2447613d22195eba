"""Measures how fast one worker encodes, searches and scores, to estimate how long a job will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossrank.cluster.pool import Pool
from crossrank.corpus.source import CorpusSource
from crossrank.derived import Derived
from crossrank.retrieval.dense import Shard, search
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.first_stage import open_bm25
from crossrank.retrieval.vectors import SHARD_ROWS
from crossrank.scoring.spec import ScorerSpec

LEAST_S = 1e-6


@dataclass(frozen=True, slots=True)
class Sampled:
    """The parts of a job that decide its speed."""

    corpus: CorpusSource
    language: str
    depth: int
    encoder: EncoderSpec | None
    teacher: ScorerSpec | None


@dataclass(frozen=True, slots=True)
class MiningSample:
    """Texts like those of the job, to measure on."""

    queries: list[str]
    passages: list[str]


def measure_mining(sampled: Sampled, sample: MiningSample, pool: Pool) -> dict[str, float]:
    """Measure the speeds of one worker, each as units in a second, for the parts that the job has.

    Returns:
        ``bm25_queries``, ``passages`` encoded, ``products`` of a query and a passage, ``pairs`` that the teacher scores
        and ``tokens_per_pair``.
    """
    threads = pool.threads()
    store = sampled.corpus.open()
    index = open_bm25(store, Derived(sampled.language, "as chosen"))
    seconds, _ = _timed(lambda: index.search(sample.queries, sampled.depth))
    found = {"bm25_queries": len(sample.queries) / seconds}
    if sampled.encoder is not None:
        encoder = sampled.encoder.load(threads)
        encoder.passages(sample.passages[:4])  # the first call sets up kernels and buffers
        seconds, vectors = _timed(lambda: encoder.passages(sample.passages))
        found["passages"] = len(sample.passages) / seconds
        queries = encoder.queries(sample.queries)
        rows = np.resize(vectors, (SHARD_ROWS, vectors.shape[1]))
        shard = Shard(0, rows, np.ones(len(rows), dtype=bool))
        seconds, _ = _timed(lambda: search(queries, [shard], sampled.depth))
        found["products"] = len(queries) * SHARD_ROWS / seconds
    if sampled.teacher is not None:
        scorer = sampled.teacher.load(threads)
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
