"""Calls on the other nodes of a cluster, for what can be seen from there alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from crossrank.cluster.failures import ours


def on_other_nodes(function: Callable[..., Any], *arguments: Any) -> Iterator[tuple[str, Any]]:
    """Call a function on every node but this one, and yield each node's address with the result.

    A node that is lost meanwhile is left out: no worker of a job will run there.
    """
    own = ray.get_runtime_context().get_node_id()
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != own]
    references = [
        ray.remote(num_cpus=0)(function)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(*arguments)
        for node in others
    ]
    for node, reference in zip(others, references, strict=True):
        try:
            result = ray.get(reference)
        except ray.exceptions.RayTaskError as error:  # the node is there, and the function failed
            raise ours(error, "a worker", "nothing was begun") from error
        except ray.exceptions.RayError:
            continue
        yield node["NodeManagerAddress"], result
