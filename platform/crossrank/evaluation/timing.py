"""Latency of a query, scored one at a time: what a user waits for, apart from any network between."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.scoring.interfaces import Scorer
from crossrank.scoring.spec import ScorerSpec

Query = tuple[str, list[str]]
"""A query with the texts of its candidates."""
WARM_UP = 2
"""Queries that are scored before any is timed: the first calls set up kernels and buffers."""


def seconds_of(scorer: Scorer, queries: Sequence[Query]) -> list[float] | None:
    """Seconds of each query, tokenising included.

    Returns:
        None where a query got no scores: a server that fails at once is not fast.
    """
    found = []
    for place, query in enumerate([*queries[:WARM_UP], *queries]):
        began = time.perf_counter()
        if not np.isfinite(_score(scorer, query)).all():
            return None
        if place >= min(WARM_UP, len(queries)):
            found.append(time.perf_counter() - began)
    return found


def time_queries(spec: ScorerSpec, queries: Sequence[Query]) -> list[float] | None:
    """Load a scorer, with all the cores of this machine, and time it by `seconds_of`."""
    return seconds_of(spec.load(os.cpu_count()), queries)


def percentiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """The 50th and 99th percentile in milliseconds; an empty dictionary without queries."""
    if not seconds:
        return {}
    p50, p99 = np.percentile(seconds, [50, 99])
    return {"p50_ms": round(float(p50) * 1000, 2), "p99_ms": round(float(p99) * 1000, 2)}


def _score(scorer: Scorer, query: Query) -> NDArray[np.float32]:
    text, documents = query
    places = np.arange(len(documents))
    encoded = scorer.encoder.documents(documents)
    queries = scorer.encoder.queries([text])
    return scorer.score_encoded(queries, encoded, np.zeros(len(documents), dtype=np.int64), places).logits_P
