"""Refuses a pipeline whose stages wait for each other's CPUs, which Ray Data would do for ever without a word.

Stages of actors hold what they take until all of their input is done. Where together they hold so much that no task of
a stage before them has room, nothing ever moves again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray.data._internal.execution.execution_callback import ExecutionCallback

from crossrank.errors import SettingsError
from crossrank.telemetry.progress import say

STALLED_S = 30.0
"""Seconds without any work that could go on, after which it is refused. The start of a worker takes a few, too."""
LOOK_S = 1.0


def watch(ds: ray.data.Dataset) -> None:
    """Watch every execution of this dataset, and of what is made of it."""
    for context in (ds.context, ds._logical_plan.context):
        if Watchdog not in context.custom_execution_callback_classes:
            context.custom_execution_callback_classes = [*context.custom_execution_callback_classes, Watchdog]


class Watchdog(ExecutionCallback):
    """Looks at a pipeline while it runs. One per execution."""

    def __init__(self) -> None:
        self._looked = self._began = time.monotonic()

    def on_execution_step(self, executor: Any) -> None:
        """Called by Ray Data some times a second.

        Raises:
            SettingsError: stages wait for each other, in a cluster that does not grow.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        waits = stalled(executor._topology)
        if waits is None:
            self._began = now
        elif now - self._began >= STALLED_S:
            sentence = (
                f"the stages of the pipeline wait for each other: {waits}; give Ray more logical CPUs, such as "
                f"ray.init(num_cpus=6), or the stages fewer workers or a smaller num_cpus"
            )
            if not os.environ.get("RAY_ADDRESS"):
                raise SettingsError(sentence)
            say(f"{sentence}; waiting for the cluster to grow")
            self._began = now


def stalled(topology: Mapping[Any, Any]) -> str | None:
    """The stages that wait and what they wait for, where nothing of a pipeline can go on; None where something can.

    Args:
        topology: Ray Data's operators, each with its state.
    """
    total = ray.cluster_resources()
    stages = [_Stage(operator, state) for operator, state in topology.items() if not operator.has_completed()]
    held = {kind: sum(stage.held[kind] for stage in stages) for kind in ("CPU", "GPU")}
    free = {kind: total.get(kind, 0.0) - held[kind] for kind in held}
    if any(stage.goes_on(free) for stage in stages):
        return None
    waiting = [words for stage in stages if (words := stage.waits_for(free))]
    holding = [words for stage in stages if (words := stage.holds(total))]
    return f"{', '.join(waiting)}, and {', '.join(holding)}" if waiting and holding else None


class _Stage:
    """An operator of Ray Data: what it needs, what it holds, and whether it has work."""

    def __init__(self, operator: Any, state: Any) -> None:
        self._name = operator.name
        self._pools = operator.get_autoscaling_actor_pools()
        self._num_active = operator.num_active_tasks()
        self._has_work = self._num_active > 0 or state.total_enqueued_input_blocks() > 0
        self._need = _resources(operator.min_scheduling_resources())
        self._num_alive = sum(pool.num_running_actors() for pool in self._pools)
        self._num_pending = sum(pool.num_pending_actors() for pool in self._pools)
        # Idle actors over the least of a pool are given back after a while.
        kept = [
            (min(pool.num_running_actors(), pool.min_size()), _resources(pool.per_actor_resource_usage()))
            for pool in self._pools
        ]
        self.held = {kind: sum(num * each[kind] for num, each in kept) for kind in ("CPU", "GPU")}

    def _fits(self, free: Mapping[str, float]) -> bool:
        return all(self._need[kind] <= free[kind] for kind in self._need)

    def goes_on(self, free: Mapping[str, float]) -> bool:
        """Whether the stage computes, or could as soon as Ray has placed what it asks for."""
        if self._pools:
            return bool(self._num_active and self._num_alive) or bool(self._num_pending and self._fits(free))
        return self._has_work and self._fits(free)

    def waits_for(self, free: Mapping[str, float]) -> str | None:
        """The resources that the stage lacks, in words."""
        lacks = self._num_pending > 0 and not self._num_alive if self._pools else self._has_work
        if not lacks or self._fits(free):
            return None
        return f"{self._name} waits for {_in_words(self._need)}"

    def holds(self, total: Mapping[str, float]) -> str | None:
        """The resources that the stage's idle actors keep from others, in words."""
        kept = {kind: amount for kind, amount in self.held.items() if amount}
        if not kept:
            return None
        actors = "1 worker" if self._num_alive == 1 else f"{self._num_alive} workers"
        of = " and ".join(f"{amount:g} of {total.get(kind, 0.0):g} {kind}" for kind, amount in kept.items())
        return f"{self._name} holds {of} with {actors}"


def _resources(found: Any) -> dict[str, float]:
    return {"CPU": found.cpu or 0.0, "GPU": found.gpu or 0.0}


def _in_words(need: Mapping[str, float]) -> str:
    return " and ".join(f"{amount:g} {kind}" for kind, amount in need.items() if amount)
