"""Workers that take blocks of a job and do them.

Ray Data hands the numbers of the unfinished blocks to a pool of actors and brings back a line of figures for each;
texts and scores never pass through the driver or the object store.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import ray
from numpy.typing import NDArray

from crossrank.cluster.failures import ours
from crossrank.cluster.on_ray import options
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.resumable.block_job import BlockJob, Figures
from crossrank.resumable.on_ray import attempts
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_context import environment

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FAILED = ("a worker", "finished blocks are kept")
"""Parts of the sentence about an unforeseen error: what failed, and what is kept."""


class BlockWorker:
    """An actor that opens its job at the first call, then does one block per call.

    An error comes back as a value in the column ``failure``: Ray Data would print pages of its own frames first.
    """

    def __init__(
        self, job: BlockJob, pool_: Pool, attempts_: attempts.AttemptLimit, environment_: Mapping[str, str]
    ) -> None:
        self._attempts = attempts_ if telemetry.work_for(environment_) else None
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._job = job
        self._threads = pool_.threads()

    # Opened at the first call and not when constructed: Ray Data makes the two in different threads. OpenMP has a team
    # of threads for each that computed, and with more threads than cores it puts them to sleep between two steps.
    @cached_property
    def _do(self) -> Callable[[int], Figures]:
        return self._job.open(self._threads)

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
        [number] = batch["block"].tolist()
        started = time.time()
        try:
            if self._attempts is not None:
                self._attempts.begin(number)
            figures = {
                "block": number,
                **self._do(number),
                "worker": f"{socket.gethostname()}:{os.getpid()}",
                "threads": self._threads,
                "started": started,
                "seconds": time.time() - started,
            }
        except Exception as error:
            logger.exception("block %d failed", number)  # the whole trace, in this worker's own log
            figures = {"block": number, "failure": pickle.dumps(ours(error, *FAILED))}
        return {name: [value] for name, value in figures.items()}


def run_blocks(job: BlockJob, numbers: Sequence[int], pool_: Pool) -> Iterator[Figures]:
    """Run blocks on the pool; yields the figures of each as it is finished, with its number as ``block``.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.verbose_progress = False
    # Its logger reports plans and disabled bars, and prints pages of frames for the errors raised below.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # A block may take long on a slow machine, and its worker may have to convert the corpus before the first one.
    context.execution_no_progress_timeout_s = 24 * 3600
    least, most = min(pool_.min_workers, len(numbers)), min(pool_.max_workers, len(numbers))
    # Items carry what Ray Data wants to know of each: `from_arrow` would ask a task of the cluster for every block.
    blocks = ray.data.from_items([{"block": number} for number in numbers], override_num_blocks=max(1, len(numbers)))
    counted = attempts.AttemptLimit(uuid.uuid4().hex, attempts.AFTER_DEATH)
    done = blocks.map_batches(
        BlockWorker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=least, max_size=most, initial_size=least, max_tasks_in_flight_per_actor=2
        ),
        **options(pool_),
        fn_constructor_kwargs={
            "job": job,
            "pool_": pool_,
            "attempts_": counted,
            "environment_": environment(),
        },
    )
    try:
        with watching() as watch:
            for figures in done.iter_rows():
                if "failure" in figures:
                    raise pickle.loads(figures["failure"])
                watch.progressed()
                yield figures
    except ray.exceptions.RayError as error:
        raise ours(error, *FAILED) from error
    finally:
        counted.forget()
