"""Speed of a scorer, measured on a sample of the pairs on the machine that it would work on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from crossrank.cluster.pool import Pool
from crossrank.scoring.spec import ScorerSpec

LONG_ENOUGH_S = 3.0
"""Seconds of scoring after which the measurement ends."""
PAIRS_AT_ONCE = 16


def measure_scoring(spec: ScorerSpec, pairs: Sequence[tuple[str, str]], pool: Pool) -> dict[str, Any]:
    """Load a scorer and time it on these pairs, for three seconds at most.

    Args:
        pairs: queries with documents like those of the job; at least one.
        pool: pool of the worker, which says how many CPU threads it has.

    Returns:
        ``pairs_per_second``, ``tokens_per_pair``, ``load_s`` and ``scorer``, which is its `describe`.
    """
    started = time.monotonic()
    scorer = spec.load(pool.threads())
    load_s = time.monotonic() - started
    encoder = scorer.encoder
    num_pairs, tokens, seconds = 0, 0, 0.0
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        batch = pairs[start : start + PAIRS_AT_ONCE]
        places = np.arange(len(batch))
        started = time.monotonic()
        queries = encoder.queries([query for query, _ in batch])
        documents = encoder.documents([document for _, document in batch])
        scored = scorer.score_encoded(queries, documents, places, places)
        if start == 0 and len(pairs) > PAIRS_AT_ONCE:
            continue  # the first call sets up kernels and buffers
        seconds += time.monotonic() - started
        num_pairs += len(batch)
        tokens += int(scored.tokens_P.sum())
        if seconds > LONG_ENOUGH_S:
            break
    return {
        "pairs_per_second": num_pairs / max(seconds, 1e-9),
        "tokens_per_pair": tokens / num_pairs,
        "load_s": load_s,
        "scorer": scorer.describe(),
    }
