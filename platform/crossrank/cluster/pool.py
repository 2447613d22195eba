"""How many workers score, and how they share the cores: worked out from what the nodes of a cluster have."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from crossrank.derived import Derived

MEMORY_SHARE = 0.7
"""Part of a node's free memory that the workers of a CPU may take: the corpus, the blocks and others need the rest."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The workers that a job was told to have; None leaves it to what the cluster has."""

    workers: tuple[int, int] | None = None
    """The least and the most."""
    gpus: float | None = None
    """Of each."""
    accelerator: str | None = None
    """Kind of GPU, by Ray's name for it."""


@dataclass(frozen=True, slots=True)
class Node:
    """What a node has for workers."""

    cores: int
    gpus: float
    memory_bytes: float
    """Free when Ray started there."""
    accelerators: frozenset[str] = frozenset()
    """Kinds of its GPUs."""


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers there are and what each takes."""

    min_workers: int
    max_workers: int
    gpus: float
    per_node: int
    """Workers that share the cores of a node."""
    why: str
    """Why so many."""
    accelerator: str | None = None
    """The kind that these GPUs have to be of."""

    @property
    def workers(self) -> Derived[str]:
        """How many, with the reason."""
        return Derived(
            str(self.max_workers)
            if self.min_workers == self.max_workers
            else f"{self.min_workers} to {self.max_workers}",
            self.why,
        )

    @property
    def device(self) -> str | None:
        """Where its workers load their models, see `ScorerSpec.on`.

        Ray hides no GPU from a worker that asked for none, and torch would take it.
        """
        return None if self.gpus else "cpu"

    def threads(self) -> int:
        """CPU threads of one worker on the node that asks."""
        return max(1, (os.cpu_count() or 1) // self.per_node)


def pool_of(
    nodes: Sequence[Node], workers: tuple[int, int] | None, gpus: float, worker_bytes: int | None = None
) -> Pool:
    """The workers of nodes that each can hold one: as many as asked, or one for each GPU, or by cores and memory.

    On a CPU one worker a core is faster than one for all cores: what else runs on a core then stops one worker, and
    not all threads of a matrix product. Each holds the model, so there are fewer where memory is short.

    Args:
        worker_bytes: memory of a worker on a CPU; None asks for one worker a node, beside stages of somebody else.
    """
    if workers is not None:
        least, most = workers
        per_node = -(-most // max(len(nodes), 1))
        if gpus:  # the others go to nodes that are still to come
            per_node = min(per_node, max((int(node.gpus / gpus) for node in nodes), default=per_node))
        return Pool(least, most, gpus, max(per_node, 1), "as given")
    if gpus:
        counts, why = [int(node.gpus / gpus) for node in nodes], f"one for each {gpus:g} GPU"
    elif worker_bytes is None:
        counts, why = [1 for _ in nodes], "one a node"
    else:
        counts, why = _on_cpu(nodes, worker_bytes)
    most = max(sum(counts), 1)
    return Pool(most, most, gpus, max(counts, default=1), why)


def cpus_beside_others(pool_: Pool, nodes: Sequence[Node]) -> int:
    """Logical CPUs of a worker in a pipeline that has stages of somebody else.

    One, which spreads workers over the nodes and lets a cluster grow for them, where that leaves others as many and two
    more. Otherwise none: workers hold what they take until the end, and a stage before them that waits for the last CPU
    would wait for ever. A GPU places its worker without one.
    """
    room = sum(node.cores for node in nodes)
    return 0 if pool_.gpus or room < 2 * pool_.max_workers + 2 else 1


def _on_cpu(nodes: Sequence[Node], worker_bytes: int) -> tuple[list[int], str]:
    counts = [max(1, min(node.cores, int(node.memory_bytes * MEMORY_SHARE / max(worker_bytes, 1)))) for node in nodes]
    each = f"about {worker_bytes / 1e9:.1f} GB each"
    if counts == [node.cores for node in nodes]:
        return counts, f"one a core, {each}"
    free = min(node.memory_bytes for node in nodes) / 1e9
    return (
        counts,
        f"at {each} as many as {MEMORY_SHARE:.0%} of the free memory hold, {free:.1f} GB on the smallest node",
    )
