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
"""How Ray's resources name the kind of a node's GPUs."""


def connect() -> None:
    """Join the cluster that the environment names (`RAY_ADDRESS`), or start a local Ray; it exports what is counted."""
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
    """Nothing reaches the terminal meanwhile: Ray tells its log level there, and calls its own kills failures.

    Gives the standard error that was, for what is to be said all the same.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminals = [os.dup(1), os.dup(2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        with open(os.dup(terminals[1]), "w") as told:
            yield told
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, terminal in enumerate(terminals, start=1):
            os.dup2(terminal, number)
            os.close(terminal)
        os.close(nowhere)


def pool(wanted: WorkerRequest, worker_bytes: int | None = None) -> Pool:
    """The workers of this cluster; for how many see `pool_of`. Without a number, GPUs are used where there are some.

    Refuses GPUs that no node has; a cluster that may still grow has a ``RAY_ADDRESS``, and is waited for until it
    brings a node that has them: only then is it known how many workers share its cores.
    """
    nodes = _nodes()
    gpus = wanted.gpus
    if gpus is None:
        gpus = 1.0 if any(node.gpus for node in nodes) else 0.0

    def able() -> list[Node]:
        return [
            node
            for node in _nodes()
            if node.gpus >= gpus and (wanted.accelerator is None or wanted.accelerator in node.accelerators)
        ]

    if not able():
        if not os.environ.get("RAY_ADDRESS"):
            raise _not_here(nodes, gpus, wanted.accelerator)
        what = f"{gpus:g} GPU" if gpus else "a CPU"
        if wanted.accelerator is not None:
            what += f" of the kind {wanted.accelerator}"
        say(f"no node of the cluster has {what} for a worker ({_in_words(nodes)}); waiting for one")
        with Waiting(f"waiting for a node with {what}"):
            answer_of(ray.remote(**_options(gpus, wanted.accelerator))(_nothing).remote())
    found = replace(pool_of(able(), wanted.workers, gpus, worker_bytes), accelerator=wanted.accelerator)
    WORKERS.set(found.max_workers)
    return found


def options(pool_: Pool) -> dict[str, Any]:
    """What a worker of the pool takes, as Ray's options of a task or an actor."""
    return _options(pool_.gpus, pool_.accelerator)


def options_beside_others(pool_: Pool) -> dict[str, Any]:
    """The same in a pipeline that has stages of somebody else; see `cpus_beside_others`."""
    return {**options(pool_), "num_cpus": cpus_beside_others(pool_, _nodes())}


def _options(gpus: float, accelerator: str | None) -> dict[str, Any]:
    return {"num_cpus": 1, "num_gpus": gpus, **({} if accelerator is None else {"accelerator_type": accelerator})}


def _not_here(nodes: Sequence[Node], gpus: float, accelerator: str | None) -> SettingsError:
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
    """The kinds of GPU that there are; Ray does not know that of each."""
    return ", ".join(sorted({kind for node in nodes for kind in node.accelerators})) or "no kind that Ray knows"


def _nothing() -> None:
    """Runs where there is room for a worker: a cluster that grows brings a node for it."""


def _nodes() -> list[Node]:
    """The nodes that may work: a head with no CPUs does not."""
    own = ray.get_runtime_context().get_node_id()
    found = []
    for node in ray.nodes():
        resources = node["Resources"]
        if node["Alive"] and resources.get("CPU"):
            cpus = max(1, int(resources["CPU"]))
            # A Ray on this machine may have been given more logical CPUs than there are cores, as ours is.
            cores = min(cpus, os.cpu_count() or 1) if node["NodeID"] == own else cpus
            kinds = {name.removeprefix(KIND) for name in resources if name.startswith(KIND)}
            gpus, memory = resources.get("GPU", 0.0), resources.get("memory", 0.0)
            found.append(Node(cores, gpus, memory, frozenset(kinds if gpus else ())))
    return found


def smallest_gpu_bytes(pool_: Pool) -> int:
    """Memory of the GPU that a worker gets where it is started now; GPUs of one pool are taken to be alike."""
    found: int = answer_of(ray.remote(**options(pool_), max_calls=1)(_gpu_bytes).remote())
    return found


def _gpu_bytes() -> int:
    import torch

    return int(torch.cuda.get_device_properties(0).total_memory)


def spare_gpus(taken: Pool) -> float:
    """GPUs of the cluster that a pool leaves over."""
    return sum(node.gpus for node in _nodes()) - taken.max_workers * taken.gpus
