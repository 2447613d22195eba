"""Join a cluster or start one, and look at its nodes."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO

import ray
from ray._private import worker as ray_worker

from crossrank.cluster.on_ray.answers import answer_of
from crossrank.cluster.on_ray.named_cluster import join, without_secrets
from crossrank.cluster.pool import Node, Pool, WorkerRequest, cpus_beside_others, pool_of
from crossrank.errors import JobFailed, SettingsError, in_short
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_metrics import WORKERS
from crossrank.telemetry.progress import Waiting, say

LOGICAL_CPUS_PER_CORE = 3
LEAST_LOGICAL_CPUS = 6
"""Logical CPUs are for scheduling alone. A local Ray with as many as the machine has cores can leave none for
Ray Data's own tasks beside the actors, and then waits for ever."""

KIND = "accelerator_type:"
"""Prefix of the resource by which Ray names the kind of a node's GPUs."""


def connect() -> None:
    """Join the cluster that the environment names (`RAY_ADDRESS`), or start a local Ray, and export the metrics."""
    if not ray.is_initialized():
        ends = signal.getsignal(signal.SIGTERM)
        _connect()
        if ends is not signal.SIG_DFL and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, ends)  # Ray's own, which it puts there, prints a trace of addresses
    telemetry.export()


def _connect() -> None:
    _quieten()
    # Ray's C++ part writes to this terminal what Ray Data itself recovers from.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    address = os.environ.get("RAY_ADDRESS")
    if address:
        with (
            without_native_output() as terminal,
            Waiting(f"joining the Ray cluster at {without_secrets(address)}", terminal),
        ):
            join(address)
        return
    cores = os.cpu_count() or 1
    if not _has_token():  # Ray would make one and write it into the user's home, which a container may not let it
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(16)
    # Ray keeps an idle process for each logical CPU. On two cores they took 2 % of the speed of a job.
    os.environ.setdefault("RAY_num_workers_soft_limit", "1")
    # A task that is killed for want of memory would be tried for ever.
    os.environ.setdefault("RAY_task_oom_retries", "2")
    say("starting a local Ray")
    try:
        with without_native_output() as terminal, Waiting("starting a local Ray", terminal):
            ray.init(
                address="local",  # without it Ray joins any cluster that was started on this machine
                num_cpus=max(LEAST_LOGICAL_CPUS, LOGICAL_CPUS_PER_CORE * cores),
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise JobFailed(
            f"a local Ray cannot be started: {in_short(error, 1000)}; mend the cause and try again"
        ) from error


def _quieten() -> None:
    """Keep Ray from printing what it does again by itself: pages for each task that is killed for want of memory."""
    ray_worker.print_to_stdstream = lambda *_, **__: None


def _has_token() -> bool:
    given = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(given) or os.path.exists(os.path.expanduser("~/.ray/auth_token"))


@contextmanager
def without_native_output() -> Iterator[TextIO]:
    """Keep the output of native code off the terminal: Ray prints its log level, and calls its own kills failures.

    Yields:
        The standard error of before, for what is to be said all the same.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        with open(os.dup(saved[1]), "w") as terminal:
            yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(nowhere)


def pool(wanted: WorkerRequest, worker_bytes: int | None = None) -> Pool:
    """Choose the workers of this cluster, as `pool_of` does; without a number of GPUs, one each where a node has some.

    A cluster that `RAY_ADDRESS` names may still grow, so it is waited for until it brings a node with the GPUs that
    were asked for: only then is it known how many workers share a node's cores.

    Args:
        wanted: workers that the job asks for.
        worker_bytes: as for `pool_of`.

    Raises:
        SettingsError: GPUs, or a kind of them, that no node of a local Ray has.
    """
    nodes = _nodes()
    gpus = wanted.gpus
    if gpus is None:
        gpus = 1.0 if any(node.gpus for node in nodes) else 0.0

    def able_nodes() -> list[Node]:
        return [
            node
            for node in _nodes()
            if node.gpus >= gpus and (wanted.accelerator is None or wanted.accelerator in node.accelerators)
        ]

    if not able_nodes():
        if not os.environ.get("RAY_ADDRESS"):
            raise _refusal(nodes, gpus, wanted.accelerator)
        what = f"{gpus:g} GPU" if gpus else "a CPU"
        if wanted.accelerator is not None:
            what += f" of the kind {wanted.accelerator}"
        say(f"no node of the cluster has {what} for a worker ({_in_words(nodes)}); waiting for one")
        with Waiting(f"waiting for a node with {what}"):
            answer_of(ray.remote(**_options(gpus, wanted.accelerator))(_nothing).remote())
    chosen = replace(pool_of(able_nodes(), wanted.workers, gpus, worker_bytes), accelerator=wanted.accelerator)
    WORKERS.set(chosen.max_workers)
    return chosen


def options(pool_: Pool) -> dict[str, Any]:
    """Ray's options for a task or an actor that takes the resources of one worker of the pool."""
    return _options(pool_.gpus, pool_.accelerator)


def options_beside_others(pool_: Pool) -> dict[str, Any]:
    """Ray's options as `options` gives them, for a pipeline with stages of somebody else; see `cpus_beside_others`."""
    return {**options(pool_), "num_cpus": cpus_beside_others(pool_, _nodes())}


def _options(gpus: float, accelerator: str | None) -> dict[str, Any]:
    return {"num_cpus": 1, "num_gpus": gpus, **({} if accelerator is None else {"accelerator_type": accelerator})}


def _refusal(nodes: Sequence[Node], gpus: float, accelerator: str | None) -> SettingsError:
    most = max((node.gpus for node in nodes), default=0)
    if most >= gpus:
        return SettingsError(f"--accelerator is {accelerator}, and here is {_kinds(nodes)}; name another, or none")
    return SettingsError(
        f"--gpus-per-worker is {gpus:g}, and the largest node has {most:g} GPUs; use 0 to score on CPU"
    )


def _in_words(nodes: Sequence[Node]) -> str:
    if not nodes:
        return "it has none that may work"
    cores, gpus = max(node.cores for node in nodes), max(node.gpus for node in nodes)
    kinds = f" ({_kinds(nodes)})" if gpus else ""
    count = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return f"it has {count}, of at most {cores} CPU cores and {gpus:g} GPUs{kinds}"


def _kinds(nodes: Sequence[Node]) -> str:
    """List the kinds of GPU that the nodes have; Ray does not know the kind of every GPU."""
    return ", ".join(sorted({kind for node in nodes for kind in node.accelerators})) or "no kind that Ray knows"


def _nothing() -> None:
    """Run where there is room for a worker: a cluster that grows brings a node for it."""


def _nodes() -> list[Node]:
    """Nodes on which workers may run; a head without logical CPUs is none."""
    own = ray.get_runtime_context().get_node_id()
    nodes = []
    for node in ray.nodes():
        resources = node["Resources"]
        if node["Alive"] and resources.get("CPU"):
            cpus = max(1, int(resources["CPU"]))
            # A Ray on this machine may have been given more logical CPUs than there are cores, as ours is.
            cores = min(cpus, os.cpu_count() or 1) if node["NodeID"] == own else cpus
            kinds = {name.removeprefix(KIND) for name in resources if name.startswith(KIND)}
            gpus, memory = resources.get("GPU", 0.0), resources.get("memory", 0.0)
            nodes.append(Node(cores, gpus, memory, frozenset(kinds if gpus else ())))
    return nodes


def smallest_gpu_bytes(pool_: Pool) -> int:
    """Bytes of memory of the GPU that a worker would get now; the GPUs of one pool are taken to be alike."""
    memory_bytes: int = answer_of(ray.remote(**options(pool_), max_calls=1)(_gpu_bytes).remote())
    return memory_bytes


def _gpu_bytes() -> int:
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def spare_gpus(taken: Pool) -> float:
    """Number of GPUs of the cluster that a pool leaves over."""
    return sum(node.gpus for node in _nodes()) - taken.max_workers * taken.gpus
