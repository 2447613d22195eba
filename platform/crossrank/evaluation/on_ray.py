"""Timing on a worker: with the GPU, the cores and the model that scoring has."""

from __future__ import annotations

import os
from collections.abc import Sequence

import ray

from crossrank.cluster.on_ray import connect, environment, pool
from crossrank.evaluation.timing import Query, seconds_of
from crossrank.scoring.spec import ScorerSpec
from crossrank.settings import JobSettings


def timed(spec: ScorerSpec, queries: Sequence[Query], settings: JobSettings) -> list[float]:
    """Seconds of each query, one at a time, on one worker that has a whole machine's cores or its GPUs."""
    connect()
    gpus = pool(settings.worker_range(), settings.gpus_per_worker).gpus
    options = {"num_cpus": 1, "num_gpus": gpus, "max_calls": 1}
    found: list[float] = ray.get(ray.remote(**options)(_timed).remote(spec, queries, environment()))
    return found


def _timed(spec: ScorerSpec, queries: Sequence[Query], variables: dict[str, str]) -> list[float]:
    os.environ.update(variables)
    return seconds_of(spec.load(os.cpu_count()), queries)
