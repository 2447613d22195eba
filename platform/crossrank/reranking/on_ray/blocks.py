"""The rerank job on Ray: workers that take blocks, score them and write their parts.

Ray Data hands the numbers of the unfinished blocks to a pool of actors and brings back a line of figures for each;
texts and scores never pass through the driver or the object store. A block's part is written whole, under the
block's own name, by whoever scored it: a retry after a dead worker writes the same file again.
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import ray
from numpy.typing import NDArray

from crossrank import storage
from crossrank.cluster.failures import ours
from crossrank.cluster.on_ray import environment, options
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.tokens import open_tokens
from crossrank.errors import JobFailed, OutputError, StorageError
from crossrank.reranking.block import Corpus, Keep, figures_of, rerank_block
from crossrank.reranking.left import made
from crossrank.resumable.layout import Layout, read_table, write_table
from crossrank.resumable.on_ray import attempts
from crossrank.scoring.interfaces import Scorer
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_metrics import STORAGE_RETRIES

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

FAILED = ("a worker", "finished blocks are kept")
"""What is said of an error that nobody foresaw: what failed, and what the job goes on with."""
STORAGE_PAUSES_S = (1.0, 5.0, 20.0)


@dataclass(frozen=True, slots=True)
class Task:
    """All that a worker needs to know, small enough to be sent to each."""

    layout: Layout
    spec: ScorerSpec
    corpus: CorpusSource | None
    keep: Keep
    environment: dict[str, str]
    """Settings of the driver's environment that workers need: where S3 is, where the cache is."""
    again: frozenset[int] = frozenset()
    """Numbers of the blocks that have a part, of which the queries without scores alone are scored."""


class BlockWorker:
    """An actor: loads the model at its first call, then scores a block a call.

    What it raises comes back as a value in the column ``failure``: Ray Data would print pages of its own frames
    first.
    """

    def __init__(self, task: Any, pool_: Pool, tries_: attempts.Tries) -> None:
        self._tries = tries_ if telemetry.work_for(task.environment) else None
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._task = task
        self._pool = pool_

    # Loaded by the first call and not when made: Ray Data calls in another thread than it makes in, OpenMP has a team
    # of threads for each that computed, and with more of these than cores it puts them to sleep between any two steps.
    @cached_property
    def _scorer(self) -> Scorer:
        return self._task.spec.load(self._pool.threads())

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
        [number] = batch["block"].tolist()
        try:
            if self._tries is not None:
                self._tries.begin(number)
            figures = self._block(number)
        except Exception as error:
            logger.exception("block %d failed", number)  # the whole trace, in this worker's own log
            figures = {"block": number, "failure": pickle.dumps(ours(error, *FAILED))}
        return {name: [value] for name, value in figures.items()}

    def _block(self, number: int) -> dict[str, Any]:
        started = time.time()
        layout = self._task.layout
        block = patiently(lambda: read_table(layout.block(number)))
        before = patiently(lambda: read_table(layout.part(number))) if number in self._task.again else None
        part, new = made(block, before, lambda rows: rerank_block(rows, self._scorer, self._corpus, self._task.keep))
        patiently(lambda: write_table(layout.part(number), part))
        return {
            "block": number,
            **figures_of(new),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "threads": self._pool.threads(),
            "started": started,
            "seconds": time.time() - started,
        }

    @cached_property
    def _corpus(self) -> Corpus | None:
        source = self._task.corpus
        if source is None:
            return None
        store = source.open()
        key = self._scorer.encoder.store_key
        if key is None:
            return Corpus(store, None)
        wanted_N, wanted_key = _wanted(self._task.layout, len(store))
        folder = storage.cache_folder() / "tokens" / f"{source.key}-{key}-{wanted_key}"
        return Corpus(store, open_tokens(folder, store, wanted_N, self._scorer.encoder))


def patiently(act: Callable[[], Result]) -> Result:
    """Read or write, and again after a pause: a store that stutters must not end a job of hours."""
    for pause_s in STORAGE_PAUSES_S:
        try:
            return act()
        except (StorageError, OutputError) as error:
            logger.warning("%s; again in %s s", error, pause_s)
            STORAGE_RETRIES.add()
            time.sleep(pause_s)
    try:
        return act()
    except (StorageError, OutputError) as error:
        # What could be reached when the job began is no mistake of the user's now.
        raise JobFailed(f"{error}; finished blocks are kept: run the same command again") from error


def _wanted(layout: Layout, num_rows: int) -> tuple[NDArray[np.bool_], str]:
    """Which rows of the corpus any candidate names, and a key for that set."""
    table = read_table(layout.wanted)
    bits = np.frombuffer(table["bits"][0].as_py(), dtype=np.uint8)
    return np.unpackbits(bits, count=num_rows).astype(bool), table["key"][0].as_py()


def run_blocks(
    task: Any, numbers: list[int], pool_: Pool, worker: type[BlockWorker] | None = None
) -> Iterator[dict[str, Any]]:
    """Score these blocks on the pool; gives the figures of each as it is finished.

    Args:
        task: a `Task`, or what a worker of another kind takes.
        worker: what is done to a block; None reranks it.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.verbose_progress = False
    # It tells of plans and of bars that are switched off, and prints pages of frames of what is raised below.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    # A block may take long on a slow machine, and its worker may have to convert the corpus before the first one.
    context.execution_no_progress_timeout_s = 24 * 3600
    least, most = min(pool_.least, len(numbers)), min(pool_.most, len(numbers))
    # Made here, with what Ray Data wants to know of each: `from_arrow` would ask a task of the cluster for every block.
    blocks = ray.data.from_items([{"block": number} for number in numbers], override_num_blocks=max(1, len(numbers)))
    counted = attempts.Tries(uuid.uuid4().hex, attempts.AFTER_DEATH)
    scored = blocks.map_batches(
        worker or BlockWorker,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(
            min_size=least, max_size=most, initial_size=least, max_tasks_in_flight_per_actor=2
        ),
        **options(pool_),
        fn_constructor_kwargs={"task": task, "pool_": pool_, "tries_": counted},
    )
    try:
        with watching() as watch:
            for figures in scored.iter_rows():
                if "failure" in figures:
                    raise pickle.loads(figures["failure"])
                watch.progressed()
                yield figures
    except ray.exceptions.RayError as error:
        raise ours(error, *FAILED) from error
    finally:
        counted.forget()


def task_of(
    layout: Layout, spec: ScorerSpec, corpus: CorpusSource | None, keep: Keep, again: frozenset[int] = frozenset()
) -> Task:
    """The task for workers, with what they need of this process's environment."""
    return Task(layout, spec, corpus, keep, environment(), again)
