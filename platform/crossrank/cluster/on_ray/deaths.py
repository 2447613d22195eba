"""Deaths of workers, said at once with the reason: Ray starts workers again in silence, as often as it takes.

A driver that waits for workers looks at the cluster's table of them every few seconds. On a shared cluster it reports
its own workers alone, which Ray names where it killed one for want of memory.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import ray
from ray._private.state import state
from ray.core.generated import common_pb2, gcs_pb2

from crossrank.cluster.failures import WAY_OUT, short_of_memory, why_it_died
from crossrank.errors import JobFailed
from crossrank.telemetry.progress import say

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds between two looks at the table of a local Ray."""
LOOK_AT_CLUSTER_S = 5.0
"""Seconds between two looks at the table of a cluster, which is larger and farther away."""
MOST_FOR_MEMORY = 6
"""Workers killed for want of memory in a row, with nothing done between, after which the job ends."""
JOIN_S = 5.0
"""Seconds to wait for the watching thread at the end."""
WAKE = signal.SIGUSR2
"""Signal that ends the waiting of the main thread."""
OUT_OF_MEMORY = common_pb2.WorkerExitType.NODE_OUT_OF_MEMORY
SILENT = common_pb2.WorkerExitType.SYSTEM_ERROR


class Watch:
    """Watcher over workers that die after it was made."""

    def __init__(self, kept: str) -> None:
        """Take note of the workers that are dead already.

        Args:
            kept: what the job goes on with, such as ``finished blocks are kept``.
        """
        self._kept = kept
        self._seen = {worker.worker_address.worker_id for worker in _dead_workers()}
        self._killed_in_a_row = 0
        self.verdict: JobFailed | None = None
        """Error that ends the job; None while it can go on."""

    def progressed(self) -> None:
        """Forget the kills so far: work was done, so there is memory enough."""
        self._killed_in_a_row = 0

    def look(self) -> None:
        """Report the workers that died since the last look."""
        for worker in _dead_workers():
            if worker.worker_address.worker_id in self._seen:
                continue
            self._seen.add(worker.worker_address.worker_id)
            if worker.exit_type in (OUT_OF_MEMORY, SILENT) and _is_ours(worker.exit_detail):
                self._died(worker)

    def _died(self, worker: Any) -> None:
        memory = short_of_memory(worker.exit_detail)
        if memory is None:
            why = why_it_died(worker.exit_detail)
            say(f"a worker on {worker.worker_address.ip_address} died: {why}; it is started again", level="warning")
            return
        self._killed_in_a_row += 1
        say(f"a worker was killed, since {memory}; it is started again, and --workers 1 takes less", level="warning")
        if self._killed_in_a_row >= MOST_FOR_MEMORY:
            many = f"{self._killed_in_a_row} workers were killed one after another"
            self.verdict = JobFailed(f"{many}, since {memory}; {self._kept}: {WAY_OUT}")


@contextmanager
def watching(kept: str = "finished blocks are kept") -> Iterator[Watch]:
    """Report the workers that die while the block runs, and end the block where none can live.

    Args:
        kept: what the job goes on with.

    Raises:
        JobFailed: `MOST_FOR_MEMORY` workers in a row were killed for want of memory.
    """
    watch = Watch(kept)
    ended = threading.Event()
    with _woken(ended) as wake:
        looking = threading.Thread(target=_keep_looking, args=(watch, ended, wake), daemon=True)
        looking.start()
        try:
            yield watch
        except KeyboardInterrupt:
            if watch.verdict is None:
                raise
            raise watch.verdict from None
        finally:
            ended.set()
            looking.join(JOIN_S)  # or it might wake whom nothing wakes any more


def _keep_looking(watch: Watch, ended: threading.Event, wake: Callable[[], None]) -> None:
    every_s = LOOK_AT_CLUSTER_S if os.environ.get("RAY_ADDRESS") else LOOK_S
    while not ended.wait(every_s) and ray.is_initialized():
        watch.look()
        if watch.verdict is not None:
            wake()
            return


@contextmanager
def _woken(ended: threading.Event) -> Iterator[Callable[[], None]]:
    """Yield a function that ends the waiting of this thread as Ctrl-C would; only the main thread can be woken.

    The signal is `WAKE`: a program in the background of a script does not heed SIGINT, SIGTERM may be Ray's, and
    `_thread.interrupt_main` ends no waiting.
    """
    thread = threading.current_thread()
    if thread is not threading.main_thread():
        yield lambda: None
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not ended.is_set():
            signal.default_int_handler(number, frame)

    def wake() -> None:
        if not ended.is_set():
            signal.pthread_kill(thread.ident or 0, WAKE)

    before = signal.signal(WAKE, interrupt)
    try:
        yield wake
    finally:
        signal.signal(WAKE, before)


def _dead_workers() -> list[Any]:
    """Workers that Ray knows to have ended; empty where Ray cannot be asked, which is no reason for a job to fail."""
    try:
        table = state._connect_and_get_accessor().get_worker_table()
    except Exception:
        logger.exception("the table of workers cannot be read")
        return []
    workers = (gcs_pb2.WorkerTableData.FromString(row) for row in table)
    return [row for row in workers if not row.is_alive and row.worker_type == common_pb2.WorkerType.WORKER]


def _is_ours(detail: str) -> bool:
    job = f"job ID={ray.get_runtime_context().get_job_id()}"
    return job in detail if "job ID=" in detail else not os.environ.get("RAY_ADDRESS")
