"""Stands in for all that uses Ray, in every job: the same functions, working in this process, and what was asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import crossrank.cluster
import crossrank.evaluation
import crossrank.filtering
import crossrank.mining
import crossrank.reranking
from crossrank.cluster.pool import Node, Pool, Wanted, pool_of
from crossrank.training.checkpoint import Checkpoints
from tests.unit.evaluation.test_dense_stage import InProcess as DenseInProcess
from tests.unit.mining.in_process import InProcess as MineInProcess
from tests.unit.reranking.job.in_process import InProcess as RerankInProcess

LARGE_NODE = Node(cores=16, gpus=0, memory_bytes=32e9)
"""More cores than its memory holds models of a few gigabytes."""


class Killed(BaseException):
    """As if the process had been killed: nothing that handles errors sees it."""


@dataclass
class OneProcess:
    """What jobs ask of a cluster, answered here."""

    at_pool: Callable[[], None] = lambda: None
    """Called when a job asks for its workers, before it gets any."""
    at_disks: Callable[[dict[str, str]], None] = lambda places: None
    """Called with the files that a job asks for whether all nodes have them."""
    joined: int = 0
    asked: list[tuple[Wanted, int | None, Pool]] = field(default_factory=list)
    """What workers were asked for, of how many bytes each, and what there is on `LARGE_NODE`."""
    done: list[str] = field(default_factory=list)
    """Blocks, shards and runs that workers did."""

    # of the cluster

    def connect(self) -> None:
        self.joined += 1

    def refuse_private_disks(self, places: dict[str, str | None]) -> None:
        self.at_disks({flag: uri for flag, uri in places.items() if uri is not None})

    def pool(self, wanted: Wanted, worker_bytes: int | None = None) -> Pool:
        self.asked.append((wanted, worker_bytes, pool_of([LARGE_NODE], wanted.workers, wanted.gpus or 0, worker_bytes)))
        self.at_pool()
        return Pool(1, 2, 0.0, 2, "by the test")

    def environment(self) -> dict[str, str]:
        return {}

    # of each verb's workers

    probed = RerankInProcess.probed
    task_of = RerankInProcess.task_of

    def probe(self, spec: Any, pairs: Any, pool: Any) -> dict[str, Any]:
        return RerankInProcess().probe(spec, pairs, pool)

    def run_blocks(self, task: Any, numbers: list[int], pool: Any) -> Iterator[dict[str, Any]]:
        for figures in RerankInProcess().run_blocks(task, numbers, pool):
            self.done.append(f"rerank {figures['block']}")
            yield figures

    def run_items(self, task: Any, items: list[str], pool: Any) -> Iterator[dict[str, Any]]:
        self.done += items
        yield from MineInProcess().run_items(task, items, pool)

    def run_dense(self, task: Any, kind: str, numbers: list[int], pool: Any) -> Iterator[dict[str, Any]]:
        self.done += [f"{kind} {number}" for number in numbers]
        yield from DenseInProcess().run_dense(task, kind, numbers, pool)

    def timed(self, spec: Any, queries: list[Any], settings: Any) -> list[float]:
        self.done.append("timed")
        return [0.01 for _ in queries]

    def train_on(self, task: Any, validation: Any, pool: Any, max_failures: int, heard: Any) -> Any:
        """Trains nothing: goes on from a checkpoint that says how many steps there were, to the last step."""
        checkpoints = Checkpoints(task.output, 3)
        found = checkpoints.newest_readable(lambda folder: json.loads((folder / "model.safetensors").read_text()))
        first = 0 if found is None else found[0]
        self.done += [f"step {step}" for step in range(first + 1, task.sizes.num_steps + 1)]
        told = {"of": task.revision, "rate": task.settings.learning_rate, "steps": task.sizes.num_steps}

        def write(folder: Path) -> None:
            (folder / "model.safetensors").write_text(json.dumps(told))
            (folder / "config.json").write_text("{}")

        if first < task.sizes.num_steps:
            checkpoints.save(task.sizes.num_steps, write)
            checkpoints.wait()
        else:
            assert found is not None
            assert found[1] == told, "the checkpoint of another run"
        return _Ended(task.sizes.num_steps, task.sizes.num_steps, 0, "finished", [])


@dataclass(frozen=True)
class _Ended:
    """As that of `training.run`, which loads torch."""

    steps: int
    chosen: int
    skipped: int
    why: str
    history: list[Any]


@dataclass(frozen=True)
class _Task:
    """As that of `training.run`."""

    settings: Any
    base: str
    revision: str
    groups: Any
    sizes: Any
    output: str


def put_in_place(stand_in: OneProcess, patch: pytest.MonkeyPatch) -> None:
    """Where jobs look for Ray and for torch they find the stand-in."""
    for package in (
        crossrank.cluster,
        crossrank.reranking,
        crossrank.mining,
        crossrank.filtering,
        crossrank.evaluation,
    ):
        patch.setattr(package, "on_ray", stand_in, raising=False)
    of_train: dict[str, dict[str, Any]] = {
        "run": {"Task": _Task},
        "unmoved": {"level_bias_of": lambda base: None},
        "on_ray": {},
        "on_ray.ranks": {"train_on": lambda *given: stand_in.train_on(*given)},
        "on_ray.levelling": {"level_on": None},
        "on_ray.validating": {"RayValidator": None},
    }
    for name, content in of_train.items():
        module = ModuleType(f"crossrank.training.{name}")
        vars(module).update(content)
        patch.setitem(sys.modules, module.__name__, module)
