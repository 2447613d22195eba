"""The workers of clusters that are not there: Ray's list of nodes is written by the test."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from crossrank.cluster.pool import Pool, WorkerRequest
from crossrank.errors import SettingsError

ray = pytest.importorskip("ray")

GB = 1_000_000_000
HERE = "this-node"


def node(
    cpus: float,
    gpus: float = 0.0,
    *,
    name: str = "other",
    memory: float = 64 * GB,
    alive: bool = True,
    kind: str | None = None,
) -> Any:
    """A node as `ray.nodes` tells of it."""
    resources = {"CPU": cpus, "GPU": gpus, "memory": memory, "object_store_memory": 9 * GB}
    resources |= {} if kind is None else {f"accelerator_type:{kind}": 1.0}
    return {"NodeID": name, "Alive": alive, "Resources": {key: value for key, value in resources.items() if value}}


HEAD = node(0, name=HERE)
"""As cluster.yaml has it: it schedules, and does no work."""

PoolOf = Callable[..., Pool]


@pytest.fixture
def pool_of(monkeypatch: pytest.MonkeyPatch) -> PoolOf:
    """``pool_of([node, ...], workers, gpus_per_worker, worker_bytes, accelerator)`` on a machine of 16 cores."""
    from crossrank.cluster import on_ray

    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: HERE))

    def pool_of(nodes: list[Any], workers: Any, gpus: Any, worker_bytes: int, accelerator: str | None = None) -> Pool:
        monkeypatch.setattr(ray, "nodes", lambda: nodes)
        return on_ray.pool(WorkerRequest(workers, gpus, accelerator), worker_bytes)

    return pool_of


@pytest.fixture
def brings(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Any], Any], list[dict[str, Any]]]:
    """``brings(nodes, new)``: the cluster adds a node when there is a task to run; gives what tasks asked for."""
    asked: list[dict[str, Any]] = []

    def brings(nodes: list[Any], new: Any) -> list[dict[str, Any]]:
        def remote(**resources: Any) -> Any:
            asked.append(resources)
            return lambda function: SimpleNamespace(remote=lambda: nodes.append(new))

        monkeypatch.setattr(ray, "remote", remote)
        monkeypatch.setattr(ray, "get", lambda reference, timeout: reference)
        return asked

    return brings


def test_gpus_are_used_where_there_are_some(pool_of: PoolOf) -> None:
    pool = pool_of([HEAD, node(8, 1.0), node(32, 4.0), node(16)], None, None, GB)
    assert (pool.min_workers, pool.max_workers, pool.gpus) == (5, 5, 1.0)
    assert pool.per_node == 4
    assert pool.threads() == 4, "of the 16 cores of the node that asks"


def test_cpu_nodes_do_not_count_where_workers_need_a_gpu(pool_of: PoolOf) -> None:
    # Two workers on the one node with GPUs, whatever else is there.
    assert pool_of([node(16, 2.0), node(16), node(16), node(16)], (2, 2), 1.0, GB).per_node == 2


def test_without_gpus_there_is_one_worker_a_core_and_none_on_the_head(pool_of: PoolOf) -> None:
    pool = pool_of([HEAD, node(16), node(16)], None, None, GB)
    assert (pool.max_workers, pool.gpus, pool.threads()) == (32, 0.0, 1)
    assert pool.why == "one a core, about 1.0 GB each"


def test_where_memory_is_short_fewer_workers_have_more_threads(pool_of: PoolOf) -> None:
    # 70 % of 64 GB hold four of 10 GB on each node.
    pool = pool_of([HEAD, node(16), node(16)], None, 0.0, 10 * GB)
    assert (pool.max_workers, pool.per_node, pool.threads()) == (8, 4, 4)


def test_a_node_that_died_does_not_count(pool_of: PoolOf) -> None:
    assert pool_of([node(16), node(16, 8.0, alive=False)], None, None, GB).gpus == 0.0


def test_logical_cpus_of_this_machine_are_not_its_cores(pool_of: PoolOf) -> None:
    assert pool_of([node(48, name=HERE)], None, None, GB).max_workers == 16
    assert pool_of([node(4, name=HERE)], None, None, GB).max_workers == 4, "what Ray was given, where it is less"


@pytest.mark.parametrize("gpus", [0.5, 1.0, 2.0])
def test_more_gpus_than_there_are_is_refused_here_since_nobody_brings_them(
    pool_of: PoolOf, monkeypatch: pytest.MonkeyPatch, gpus: float
) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    largest = 0.0 if gpus < 2 else 1.0
    with pytest.raises(SettingsError) as refused:
        pool_of([node(48, largest, name=HERE)], None, gpus, GB)
    assert str(refused.value) == (
        f"--gpus-per-worker is {gpus:g}, and the largest node has {largest:g} GPUs; use 0 to score on CPU"
    )


def test_workers_go_where_the_gpus_are_of_the_kind_that_was_asked_for(pool_of: PoolOf) -> None:
    nodes = [HEAD, node(8, 4.0, kind="L4"), node(8, 2.0, kind="H100"), node(16)]
    pool = pool_of(nodes, None, 1.0, GB, "H100")
    assert (pool.max_workers, pool.gpus, pool.accelerator) == (2, 1.0, "H100")
    assert pool_of(nodes, None, 0.5, GB, "L4").max_workers == 8
    assert pool_of(nodes, None, 1.0, GB).max_workers == 6, "any kind"


def test_a_kind_that_is_not_there_is_waited_for_with_what_is(
    pool_of: PoolOf, brings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [HEAD, node(8, 4.0, kind="L4")]
    asked = brings(nodes, node(8, 1.0, kind="H100"))
    assert pool_of(nodes, None, 1.0, GB, "H100").max_workers == 1
    assert asked == [{"num_cpus": 1, "num_gpus": 1.0, "accelerator_type": "H100"}]
    said = capsys.readouterr().err
    assert (
        "has 1 GPU of the kind H100 for a worker (it has 1 node, of at most 8 CPU cores and 4 GPUs (L4)); waiting"
        in said
    )


def test_a_kind_that_this_machine_lacks_is_refused_with_what_it_has(
    pool_of: PoolOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS")
    with pytest.raises(SettingsError) as refused:
        pool_of([node(8, 1.0, name=HERE, kind="L4")], None, 1.0, GB, "H100")
    assert str(refused.value) == "--accelerator is H100, and here is L4; name another, or none"


def test_a_cluster_that_grows_is_waited_for_and_then_looked_at(
    pool_of: PoolOf, brings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes = [HEAD, node(16)]
    asked = brings(nodes, node(8, 1.0))
    pool = pool_of(nodes, None, 1.0, GB)
    assert asked == [{"num_cpus": 1, "num_gpus": 1.0}]
    assert (pool.max_workers, pool.per_node, pool.gpus) == (1, 1, 1.0)
    said = capsys.readouterr().err
    assert "has 1 GPU for a worker (it has 1 node, of at most 16 CPU cores and 0 GPUs); waiting for one" in said


@pytest.mark.parametrize(
    ("workers", "most", "threads"), [(None, 16, 1), ((8, 8), 8, 2), ((32, 32), 32, 1), ((1, 1), 1, 16)]
)
def test_threads_are_those_of_the_node_that_came_and_not_of_none(
    pool_of: PoolOf, brings: Any, workers: tuple[int, int] | None, most: int, threads: int
) -> None:
    # Ray puts 8 workers of one logical CPU each on the one node of 16 that it brings for them.
    nodes = [HEAD]
    asked = brings(nodes, node(16))
    pool = pool_of(nodes, workers, None, GB)
    assert asked == [{"num_cpus": 1, "num_gpus": 0.0}]
    assert (pool.max_workers, pool.threads()) == (most, threads)
