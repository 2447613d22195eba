"""Join a cluster or start one for a job, and see that its workers find what the flags name."""

from __future__ import annotations

from collections.abc import Mapping

from crossrank.cluster import on_ray as cluster
from crossrank.cluster.pool import Pool, WorkerRequest
from crossrank.resumable.on_ray.shared_disks import refuse_private_disks
from crossrank.telemetry.progress import say


def join(places: Mapping[str, str | None]) -> None:
    """Join the cluster that the environment names, or start one, and refuse files that not every node sees.

    Args:
        places: URIs of what workers read and write, by the flag that names them; see `refuse_private_disks`.
    """
    cluster.connect()
    refuse_private_disks(places)


def start_workers(wanted: WorkerRequest, places: Mapping[str, str | None], worker_bytes: int | None = None) -> Pool:
    """Start the pool of workers of a job, after refusing files that not every node sees; says how many there are.

    Args:
        places: as in `join`.
        worker_bytes: memory of a worker on a CPU; None takes one worker per node.

    Raises:
        SettingsError: a disk that a node does not share, or workers that no node can hold.
    """
    join(places)
    pool = cluster.pool(wanted, worker_bytes)
    say(f"workers: {pool.workers}")
    return pool
