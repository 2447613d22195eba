"""Mining on Ray: the pool of workers of the rerank job, each of which does items of work.

Vectors, texts and scores never pass through the driver or the object store: an item's result is a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from crossrank.cluster.on_ray import options
from crossrank.cluster.pool import Pool
from crossrank.mining.throughput import Sample, measure
from crossrank.mining.work import Figures, Task, Worker
from crossrank.reranking.on_ray import BlockWorker, Tries, patiently, probed, run_blocks


@dataclass(frozen=True, slots=True)
class Items:
    """All that a worker needs to know, and the work there is."""

    task: Task
    items: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        return self.task.environment


class ItemWorker(BlockWorker):
    """An actor: a block is an item of work."""

    def __init__(self, task: Items, pool_: Pool, tries_: Tries) -> None:
        super().__init__(task, pool_, tries_)
        self._items = task.items
        self._worker = Worker(task.task, pool_.threads())

    def _block(self, number: int) -> dict[str, Any]:
        kind, *numbers = self._items[number].split()
        return {"block": number, **patiently(lambda: self._worker.do(kind, *map(int, numbers)))}


def run_items(task: Task, items: Sequence[str], pool_: Pool) -> Iterator[Figures]:
    """Do these items on the pool; gives the figures of each as it is finished.

    Args:
        items: a kind and its numbers, such as ``search 0 12``; see `Worker.do`.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    yield from run_blocks(Items(task, tuple(items)), list(range(len(items))), pool_, ItemWorker)


def measured(task: Task, sample: Sample, pool_: Pool) -> dict[str, float]:
    """The speed of one worker, see `measure`."""
    once = {"max_retries": 2, "max_calls": 1}
    return probed(ray.remote(**options(pool_), **once)(measure).remote(task, sample, pool_.threads()))
