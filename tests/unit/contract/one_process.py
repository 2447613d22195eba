"""Stands in for all that uses Ray, in every job: the same functions, working in this process, and what was asked."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import crossrank.cluster
import crossrank.resumable
from crossrank.cluster.pool import Node, Pool, WorkerRequest, pool_of
from crossrank.evaluation.timing import time_queries
from crossrank.scoring.throughput import measure_scoring
from crossrank.training.checkpoint import Checkpoints
from tests.unit.in_process import InProcess, Killed
from tests.unit.reranking.job.in_process import measured

__all__ = ["Killed", "OneProcess", "put_in_place"]

LARGE_NODE = Node(cores=16, gpus=0, memory_bytes=32e9)
"""More cores than its memory holds models of a few gigabytes."""


@dataclass
class OneProcess(InProcess):
    """What jobs ask of a cluster, answered here; both the adapter to Ray and, for train, the cluster itself."""

    at_pool: Callable[[], None] = lambda: None
    """Called when a job asks for its workers, before it gets any."""
    at_disks: Callable[[dict[str, str]], None] = lambda places: None
    """Called with the files that a job asks for whether all nodes have them."""
    joined: int = 0
    asked: list[tuple[WorkerRequest, int | None, Pool]] = field(default_factory=list)
    """What workers were asked for, of how many bytes each, and what there is on `LARGE_NODE`."""

    def connect(self) -> None:
        self.joined += 1

    def join(self, places: Mapping[str, str | None]) -> None:
        self.connect()
        self.at_disks({flag: uri for flag, uri in places.items() if uri is not None})

    def pool(self, wanted: WorkerRequest, worker_bytes: int | None = None) -> Pool:
        self.asked.append((wanted, worker_bytes, pool_of([LARGE_NODE], wanted.workers, wanted.gpus or 0, worker_bytes)))
        self.at_pool()
        return Pool(1, 2, 0.0, 2, "by the test")

    def start_workers(
        self, wanted: WorkerRequest, places: Mapping[str, str | None], worker_bytes: int | None = None
    ) -> Pool:
        self.join(places)
        return self.pool(wanted, worker_bytes)

    def begin_call(self, pool: Pool, function: Callable[..., Any], *arguments: Any) -> Any:
        if function is time_queries:
            self.done.append("timed")
            return [0.01 for _ in arguments[1]]
        return measured() if function is measure_scoring else super().begin_call(pool, function, *arguments)

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
    for package in (crossrank.cluster, crossrank.resumable):
        patch.setattr(package, "on_ray", stand_in, raising=False)
    of_train: dict[str, dict[str, Any]] = {
        "rank_run": {"TrainTask": _Task},
        "unmoved": {"level_bias_of": lambda base: None},
        "on_ray": {},
        "on_ray.ranks": {"train_on": lambda *given: stand_in.train_on(*given)},
        "on_ray.bias_fit": {"level_on": None},
        "on_ray.validating": {"RayValidator": None},
    }
    for name, content in of_train.items():
        module = ModuleType(f"crossrank.training.{name}")
        vars(module).update(content)
        patch.setitem(sys.modules, module.__name__, module)
