"""Join a cluster or start one, and count the workers that fit it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import ray

from crossrank.errors import SettingsError

LOGICAL_CPUS_PER_CORE = 3
LEAST_LOGICAL_CPUS = 6
"""Logical CPUs are for scheduling alone. A local Ray with as many as the machine has cores can leave none for
Ray Data's own tasks beside the actors, and then waits for ever."""


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers there are and what each takes."""

    least: int
    most: int
    gpus: float
    per_node: int
    """Workers that share the cores of a node."""

    def threads(self) -> int:
        """CPU threads of one worker on the node that asks."""
        return max(1, (os.cpu_count() or 1) // self.per_node)


def connect() -> None:
    """Join the cluster that the environment names (`RAY_ADDRESS`), or start a local Ray."""
    if ray.is_initialized():
        return
    if os.environ.get("RAY_ADDRESS"):
        try:
            ray.init(log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise SettingsError(
                f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}, and no cluster can be joined there "
                f"({' '.join(str(error).split())[:160]}); start one, or unset it for a local Ray"
            ) from error
        return
    cores = os.cpu_count() or 1
    # Ray's C++ part writes to this terminal what Ray Data itself recovers from.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    # Ray keeps an idle process for each logical CPU. On two cores they took 2 % of the speed of a job.
    os.environ.setdefault("RAY_num_workers_soft_limit", "1")
    with without_native_output():
        ray.init(
            address="local",  # without it Ray joins any cluster that was started on this machine
            num_cpus=max(LEAST_LOGICAL_CPUS, LOGICAL_CPUS_PER_CORE * cores),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )


@contextmanager
def without_native_output() -> Iterator[None]:
    """Nothing reaches the terminal meanwhile: Ray tells its log level there, and calls its own kills failures."""
    sys.stdout.flush()
    sys.stderr.flush()
    terminals = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, terminal in enumerate(terminals, start=1):
            os.dup2(terminal, number)
            os.close(terminal)
        os.close(nowhere)


def pool(workers: tuple[int, int] | None, gpus_per_worker: float | None) -> Pool:
    """The workers of this cluster: as asked, or one for each GPU, or one for each node without any.

    Refuses more GPUs for a worker than any node has; a cluster that may still grow has a ``RAY_ADDRESS``, and is
    trusted to bring a node that has them.
    """
    # A head with no CPUs does no work, so it has no worker either.
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    gpus_of_nodes = [resources.get("GPU", 0.0) for resources in nodes] or [0.0]
    gpus = (1.0 if any(gpus_of_nodes) else 0.0) if gpus_per_worker is None else gpus_per_worker
    if gpus > max(gpus_of_nodes) and not os.environ.get("RAY_ADDRESS"):
        raise SettingsError(
            f"--gpus-per-worker is {gpus:g}, and the largest node has {max(gpus_of_nodes):g} GPUs; "
            f"use 0 to score on CPU"
        )
    least, most = workers or ((int(sum(gpus_of_nodes) / gpus),) * 2 if gpus else (len(nodes),) * 2)
    return Pool(max(least, 1), max(most, 1), gpus, per_node=max(1, -(-most // max(len(nodes), 1))))


def environment() -> dict[str, str]:
    """What workers on this machine's Ray need of the driver's environment; credentials stay where they are."""
    names = ("CROSSRANK_CACHE", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
    return {name: os.environ[name] for name in names if name in os.environ}
