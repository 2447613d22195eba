"""How many workers nodes hold, and how they share the cores."""

from __future__ import annotations

import os

import pytest

from crossrank.cluster.pool import Node, Pool, cpus_beside_others, pool_of

GB = 1_000_000_000
LAPTOP = Node(cores=8, gpus=0.0, memory_bytes=10 * GB)
SERVER = Node(cores=16, gpus=0.0, memory_bytes=40 * GB)


def shape(pool: Pool) -> tuple[int, int, int]:
    return pool.min_workers, pool.max_workers, pool.per_node


def test_a_small_model_gets_one_worker_a_core() -> None:
    # 8 workers of 0.8 GB are 6.4 of the 7.0 GB that they may take.
    pool = pool_of([LAPTOP], None, 0.0, worker_bytes=800_000_000)
    assert shape(pool) == (8, 8, 8)
    assert str(pool.workers) == "8 (one a core, about 0.8 GB each)"


@pytest.mark.parametrize(("worker_gb", "workers"), [(0.9, 7), (2.0, 3), (4.4, 1), (9.0, 1)])
def test_a_large_model_gets_as_many_as_the_memory_holds_and_one_at_least(worker_gb: float, workers: int) -> None:
    pool = pool_of([LAPTOP], None, 0.0, worker_bytes=int(worker_gb * GB))
    assert shape(pool) == (workers, workers, workers)
    assert pool.why == (
        f"at about {worker_gb} GB each as many as 70% of the free memory hold, 10.0 GB on the smallest node"
    )


def test_nodes_that_differ_each_get_what_they_hold() -> None:
    assert shape(pool_of([LAPTOP, SERVER], None, 0.0, GB // 2)) == (24, 24, 16)
    # 7 of 10 GB hold two of 3 GB, 28 of 40 GB hold nine.
    assert shape(pool_of([LAPTOP, SERVER], None, 0.0, 3 * GB)) == (11, 11, 9)


def test_beside_the_stages_of_somebody_else_it_is_one_a_node() -> None:
    assert shape(pool_of([LAPTOP, SERVER], None, 0.0)) == (2, 2, 1)


def test_each_gpu_gets_a_worker_or_several_that_share_it() -> None:
    nodes = [Node(16, 4.0, GB), Node(16, 1.0, GB)]
    assert shape(pool_of(nodes, None, 1.0)) == (5, 5, 4)
    assert shape(pool_of(nodes, None, 0.5, 100 * GB)) == (10, 10, 8)
    assert pool_of(nodes, None, 1.0).why == "one for each 1 GPU"


@pytest.mark.parametrize(
    ("workers", "num_nodes", "per_node"),
    [((2, 2), 1, 2), ((1, 8), 1, 8), ((8, 8), 4, 2), ((5, 5), 4, 2), ((3, 3), 4, 1)],
)
def test_a_number_that_was_given_is_taken(workers: tuple[int, int], num_nodes: int, per_node: int) -> None:
    pool = pool_of([LAPTOP] * num_nodes, workers, 0.0, worker_bytes=9 * GB)
    assert shape(pool) == (*workers, per_node)
    assert pool.why == "as given"


@pytest.mark.parametrize(("gpus", "per_node"), [(1.0, 1), (0.5, 2), (0.0, 8)])
def test_workers_that_wait_for_nodes_to_come_take_no_cores_from_those_that_work(gpus: float, per_node: int) -> None:
    first = Node(8, 1.0, GB)
    assert shape(pool_of([first], (8, 8), gpus, worker_bytes=GB)) == (8, 8, per_node)


def test_workers_that_scale_are_told_with_both_bounds() -> None:
    assert str(pool_of([LAPTOP], (1, 8), 0.0).workers) == "1 to 8 (as given)"


@pytest.mark.parametrize(("per_node", "threads"), [(1, 16), (2, 8), (3, 5), (16, 1), (40, 1)])
def test_workers_of_a_node_share_its_cores(monkeypatch: pytest.MonkeyPatch, per_node: int, threads: int) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert Pool(1, 1, 0.0, per_node, "by the test").threads() == threads


@pytest.mark.parametrize(
    ("cores", "workers", "cpus"),
    [
        ([1], 1, 0),  # the one CPU is what a stage before it waits for
        ([2], 1, 0),  # a stage of actors before it, and a reader before that
        ([2], 2, 0),
        ([4], 1, 1),
        ([4], 2, 0),
        ([16, 16], 2, 1),
        ([1, 1], 2, 0),
    ],
)
def test_a_worker_takes_a_cpu_where_as_many_and_two_more_are_left_for_other_stages(
    cores: list[int], workers: int, cpus: int
) -> None:
    nodes = [Node(each, 0.0, 10 * GB) for each in cores]
    assert cpus_beside_others(pool_of(nodes, (workers, workers), 0.0), nodes) == cpus


def test_a_worker_with_a_gpu_takes_no_cpu_beside_other_stages() -> None:
    nodes = [Node(16, 1.0, 40 * GB)]
    assert cpus_beside_others(pool_of(nodes, (1, 1), 1.0), nodes) == 0
