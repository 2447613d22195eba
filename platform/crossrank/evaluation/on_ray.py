"""What evaluation does on workers beside the rerank jobs: a dense first stage, and timing one query at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from crossrank.cluster.on_ray import connect, environment, options, pool
from crossrank.cluster.on_ray.answers import answer_of
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.evaluation.dense_stage import DenseTask, DenseWorker
from crossrank.evaluation.systems import placed
from crossrank.evaluation.timing import Query, seconds_of
from crossrank.reranking.on_ray import BlockWorker, Tries, patiently, run_blocks
from crossrank.resumable.settings import JobSettings
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry import on_ray as telemetry


@dataclass(frozen=True, slots=True)
class _Items:
    task: DenseTask
    kind: str
    numbers: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        return self.task.environment


class _ItemWorker(BlockWorker):
    """An actor: a block is a shard to encode, or a chunk of queries to search for."""

    def __init__(self, task: _Items, pool_: Pool, tries_: Tries) -> None:
        super().__init__(task, pool_, tries_)
        self._items = task
        self._worker = DenseWorker(task.task, pool_.threads())

    def _block(self, number: int) -> dict[str, Any]:
        patiently(lambda: self._worker.do(self._items.kind, self._items.numbers[number]))
        return {"block": number}


def run_dense(task: DenseTask, kind: str, numbers: Sequence[int], pool_: Pool) -> Iterator[dict[str, Any]]:
    """Encode these shards, or search for these chunks of the queries; a line for each as it is finished.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    yield from run_blocks(_Items(task, kind, tuple(numbers)), list(range(len(numbers))), pool_, _ItemWorker)


def timed(spec: ScorerSpec, queries: Sequence[Query], settings: JobSettings) -> list[float] | None:
    """Seconds of each query, one at a time, on one worker that has a whole machine's cores or its GPUs.

    None where a server left one without an answer.
    """
    connect()
    pool_ = pool(settings.wanted())
    at = placed(spec, on_gpu=bool(pool_.gpus))
    timing = ray.remote(**options(pool_), max_calls=1)(_timed)
    with watching("scores are kept"):
        found: list[float] | None = answer_of(
            timing.remote(at, queries, environment()), "the timing", "scores are kept"
        )
    return found


def _timed(spec: ScorerSpec, queries: Sequence[Query], variables: dict[str, str]) -> list[float] | None:
    telemetry.work_for(variables)
    return seconds_of(spec.load(os.cpu_count()), queries)
