"""How fast one worker of a pool is: measured on a sample of the pairs, on the machine that it would work on."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import ray

from crossrank.cluster.on_ray import environment, options
from crossrank.cluster.on_ray.answers import answer_of
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry import on_ray as telemetry

PROBE_S = 3.0
PROBE_PAIRS = 16
"""Pairs that are timed at once while measuring."""


def probe(spec: ScorerSpec, pairs: list[tuple[str, str]], pool_: Pool) -> ray.ObjectRef:
    """Start measuring the speed of one worker on sample pairs; `probed` waits for what it finds."""
    # One call and its process ends: what it loaded would stay, and a worker of the job might be put into it.
    once: dict[str, Any] = {"max_retries": 2, "max_calls": 1}
    reference: ray.ObjectRef = ray.remote(**options(pool_), **once)(_probe).remote(spec, pairs, pool_, environment())
    return reference


def probed(reference: ray.ObjectRef) -> dict[str, Any]:
    """What the probe measured: pairs_per_second, tokens_per_pair and what the scorer is."""
    with watching():
        found: dict[str, Any] = answer_of(reference)
    return found


def _probe(spec: ScorerSpec, pairs: list[tuple[str, str]], pool_: Pool, environment: dict[str, str]) -> dict[str, Any]:
    telemetry.work_for(environment)
    started = time.monotonic()
    scorer = spec.load(pool_.threads())
    load_s = time.monotonic() - started
    encoder = scorer.encoder
    num_pairs, tokens, seconds = 0, 0, 0.0
    for start in range(0, len(pairs), PROBE_PAIRS):
        some = pairs[start : start + PROBE_PAIRS]
        places = np.arange(len(some))
        started = time.monotonic()
        queries = encoder.queries([query for query, _ in some])
        documents = encoder.documents([document for _, document in some])
        scored = scorer.score_encoded(queries, documents, places, places)
        if start == 0 and len(pairs) > PROBE_PAIRS:
            continue  # the first call sets up kernels and buffers
        seconds += time.monotonic() - started
        num_pairs += len(some)
        tokens += int(scored.tokens_P.sum())
        if seconds > PROBE_S:
            break
    return {
        "pairs_per_second": num_pairs / max(seconds, 1e-9),
        "tokens_per_pair": tokens / num_pairs,
        "load_s": load_s,
        "scorer": scorer.describe(),
    }
