"""Number of workers and their share of the cores, worked out from what the nodes of a cluster have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from crossrank.derived import Derived

MEMORY_SHARE = 0.7
"""Share of a node's free memory that CPU workers may take: the corpus, the blocks and other programs need the rest."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """Workers that a job asks for; a field that is None is decided by what the cluster has."""

    workers: tuple[int, int] | None = None
    """Fewest and most workers."""
    gpus: float | None = None
    """GPUs of one worker; a fraction shares a GPU."""
    accelerator: str | None = None
    """Kind of GPU, under Ray's name for it."""


@dataclass(frozen=True, slots=True)
class Node:
    """Resources of a node that workers may use."""

    cores: int
    gpus: float
    memory_bytes: float
    """Bytes that were free when Ray started on the node."""
    accelerators: frozenset[str] = frozenset()
    """Kinds of the node's GPUs, under Ray's names for them."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Number of workers, and the resources of each."""

    min_workers: int
    max_workers: int
    gpus: float
    """GPUs of one worker; 0 computes on the CPU."""
    per_node: int
    """Workers that share the cores of a node."""
    why: str
    """Reason for this number of workers, for the log and the manifest."""
    accelerator: str | None = None
    """Kind of GPU that a worker needs, under Ray's name for it; None takes any."""

    @property
    def workers(self) -> Derived[str]:
        """Number of workers, with the reason."""
        return Derived(
            str(self.max_workers)
            if self.min_workers == self.max_workers
            else f"{self.min_workers} to {self.max_workers}",
            self.why,
        )

    @property
    def device(self) -> str | None:
        """Device on which the workers load their models, as `ScorerSpec.on` takes it.

        Ray hides no GPU from a worker that asked for none, and torch would take it.
        """
        return None if self.gpus else "cpu"

    def threads(self) -> int:
        """CPU threads of one worker on the node that asks."""
        return max(1, (os.cpu_count() or 1) // self.per_node)


def pool_of(
    nodes: Sequence[Node], workers: tuple[int, int] | None, gpus: float, worker_bytes: int | None = None
) -> Pool:
    """Choose the workers for nodes that can each hold one: the number asked for, one per GPU, or by cores and memory.

    On a CPU one worker a core is faster than one for all cores: what else runs on a core then stops one worker, and
    not all threads of a matrix product. Each holds the model, so there are fewer where memory is short.

    Args:
        worker_bytes: bytes of memory of a worker on a CPU; None gives each node one worker, as a pipeline with stages
            of somebody else needs it.
    """
    if workers is not None:
        min_workers, max_workers = workers
        per_node = -(-max_workers // max(len(nodes), 1))
        if gpus:  # the others go to nodes that are still to come
            per_node = min(per_node, max((int(node.gpus / gpus) for node in nodes), default=per_node))
        return Pool(min_workers, max_workers, gpus, max(per_node, 1), "as given")
    if gpus:
        counts, why = [int(node.gpus / gpus) for node in nodes], f"one for each {gpus:g} GPU"
    elif worker_bytes is None:
        counts, why = [1 for _ in nodes], "one a node"
    else:
        counts, why = _on_cpu(nodes, worker_bytes)
    num_workers = max(sum(counts), 1)
    return Pool(num_workers, num_workers, gpus, max(counts, default=1), why)


def cpus_beside_others(pool_: Pool, nodes: Sequence[Node]) -> int:
    """Logical CPUs of a worker in a pipeline that has stages of somebody else: 1 or 0.

    With 1, Ray spreads the workers over the nodes, and a cluster can grow for them; that is chosen where it leaves the
    other stages as many CPUs and two more. Otherwise 0: workers keep what they take until the end, and a stage before
    them that waits for the last CPU would wait for ever. A worker with a GPU is placed by its GPU.
    """
    room = sum(node.cores for node in nodes)
    return 0 if pool_.gpus or room < 2 * pool_.max_workers + 2 else 1


def _on_cpu(nodes: Sequence[Node], worker_bytes: int) -> tuple[list[int], str]:
    counts = [max(1, min(node.cores, int(node.memory_bytes * MEMORY_SHARE / max(worker_bytes, 1)))) for node in nodes]
    size = f"about {worker_bytes / 1e9:.1f} GB each"
    if counts == [node.cores for node in nodes]:
        return counts, f"one a core, {size}"
    free = min(node.memory_bytes for node in nodes) / 1e9
    return (
        counts,
        f"at {size} as many as {MEMORY_SHARE:.0%} of the free memory hold, {free:.1f} GB on the smallest node",
    )
