"""Mining on Ray: a pool of actors that take items of work and bring back a line of figures for each.

Vectors, texts and scores never pass through the driver or the object store: an item's result is a file.
"""

from __future__ import annotations

import logging
import pickle
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import ray
from numpy.typing import NDArray
from ray.util.annotations import RayDeprecationWarning

from crossrank.cluster.pool import Pool
from crossrank.errors import CrossrankError, JobFailed, OutputError, StorageError
from crossrank.retrieval.mining.measure import Sample, measure
from crossrank.retrieval.mining.work import Figures, Task, Worker

logger = logging.getLogger(__name__)

TRIES_AFTER_DEATH = 5
"""How often an item is given to another worker after one died with it."""
STORAGE_PAUSES_S = (1.0, 5.0, 20.0)


class ItemWorker:
    """An actor. What it raises comes back as a value: Ray Data would print pages of its own frames first."""

    def __init__(self, task: Task, pool_: Pool) -> None:
        self._worker = Worker(task, pool_.threads())

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
        [item] = batch["item"].tolist()
        kind, *numbers = item.split()
        try:
            figures = self._patiently(kind, [int(number) for number in numbers])
            return {"figures": [pickle.dumps(figures)], "failed": [False]}
        except Exception as error:
            logger.exception("%s failed", item)  # the whole trace, in this worker's own log
            return {"figures": [pickle.dumps(_ours(error))], "failed": [True]}

    def _patiently(self, kind: str, numbers: list[int]) -> Figures:
        """Do it, and again after a pause where storage fails: one that stutters must not end a job of hours."""
        for pause_s in STORAGE_PAUSES_S:
            try:
                return self._worker.do(kind, *numbers)
            except (StorageError, OutputError) as error:
                logger.warning("%s; again in %s s", error, pause_s)
                time.sleep(pause_s)
        try:
            return self._worker.do(kind, *numbers)
        except (StorageError, OutputError) as error:
            raise JobFailed(f"{error}; finished work is kept: run the same command again") from error


def run_items(task: Task, items: Sequence[str], pool_: Pool) -> Iterator[Figures]:
    """Do these items on the pool; gives the figures of each as it is finished.

    Args:
        items: a kind and its numbers, such as ``search 0 12``; see `Worker.do`.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.verbose_progress = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    context.execution_no_progress_timeout_s = 24 * 3600
    least, most = min(pool_.least, len(items)), min(pool_.most, len(items))
    dataset = ray.data.from_arrow([pa.table({"item": [item]}) for item in items])
    with warnings.catch_warnings():
        # Ray 2.60 has no other way to limit the retries than one that it calls deprecated.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        done = dataset.map_batches(
            ItemWorker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=least, max_size=most, initial_size=least, max_tasks_in_flight_per_actor=2
            ),
            num_cpus=1,
            num_gpus=pool_.gpus or None,
            fn_constructor_kwargs={"task": task, "pool_": pool_},
            ray_remote_args_fn=lambda: {"max_task_retries": TRIES_AFTER_DEATH},
        )
    try:
        for row in done.iter_rows():
            figures = pickle.loads(row["figures"])
            if row["failed"]:
                raise figures
            yield figures
    except ray.exceptions.RayError as error:
        raise _ours(error) from error


def measured(task: Task, sample: Sample, pool_: Pool) -> dict[str, float]:
    """The speed of one worker, see `measure`."""
    options = {"num_cpus": 1, "num_gpus": pool_.gpus, "max_retries": 2, "max_calls": 1}
    try:
        found: dict[str, float] = ray.get(ray.remote(**options)(measure).remote(task, sample, pool_.threads()))
    except ray.exceptions.RayError as error:
        raise _ours(error) from error
    return found


def _ours(error: BaseException) -> CrossrankError:
    """The crossrank error behind what a worker raised, or one sentence about what else went wrong there."""
    cause = getattr(error, "cause", None) or error  # Ray wraps what a task raises
    if isinstance(cause, CrossrankError):
        return cause
    what = [line.strip() for line in str(cause).splitlines() if line.strip()][-1:]
    return JobFailed(
        f"a worker failed: {', '.join([type(cause).__name__, *what])[:300]}; finished work is kept, so mend the cause "
        f"and run the same command again"
    )
