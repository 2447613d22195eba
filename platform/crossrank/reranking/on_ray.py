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
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray
from ray.util.annotations import RayDeprecationWarning

from crossrank import storage
from crossrank.cluster.on_ray import connect, environment, options, pool
from crossrank.cluster.pool import Pool, Wanted
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.tokens import open_tokens
from crossrank.errors import CrossrankError, JobFailed, OutputError, SettingsError, StorageError
from crossrank.reranking.block import Corpus, Keep, figures_of, rerank_block
from crossrank.reranking.layout import Layout, read_table, write_table
from crossrank.reranking.stage import RerankBatch, check_columns
from crossrank.scoring.loading import check_model, find_model
from crossrank.scoring.normalize import Normalize
from crossrank.scoring.normalize import check as check_normalize
from crossrank.scoring.scored import Scorer
from crossrank.scoring.spec import RerankerSpec, ScorerSpec
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_metrics import STORAGE_RETRIES

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

TRIES_AFTER_DEATH = 5
"""How often a block is given to another worker after one died with it."""
STORAGE_PAUSES_S = (1.0, 5.0, 20.0)
PROBE_S = 3.0
PROBE_PAIRS = 16
"""Pairs that are timed at once while measuring."""


@dataclass(frozen=True, slots=True)
class Task:
    """All that a worker needs to know, small enough to be sent to each."""

    layout: Layout
    spec: ScorerSpec
    corpus: CorpusSource | None
    keep: Keep
    environment: dict[str, str]
    """Settings of the driver's environment that workers need: where S3 is, where the cache is."""


def probe(spec: ScorerSpec, pairs: list[tuple[str, str]], pool_: Pool) -> ray.ObjectRef:
    """Start measuring the speed of one worker on sample pairs; `probed` waits for what it finds."""
    # One call and its process ends: what it loaded would stay, and a worker of the job might be put into it.
    once: dict[str, Any] = {"max_retries": 2, "max_calls": 1}
    reference: ray.ObjectRef = ray.remote(**options(pool_), **once)(_probe).remote(spec, pairs, pool_, environment())
    return reference


def probed(reference: ray.ObjectRef) -> dict[str, Any]:
    """What the probe measured: pairs_per_second, tokens_per_pair and what the scorer is."""
    try:
        found: dict[str, Any] = ray.get(reference)
    except ray.exceptions.RayError as error:
        raise _ours(error) from error
    return found


def _probe(spec: ScorerSpec, pairs: list[tuple[str, str]], pool_: Pool, environment: dict[str, str]) -> dict[str, Any]:
    telemetry.work_for(environment)
    started = time.monotonic()
    scorer = spec.load(pool_.threads())
    load_s = time.monotonic() - started
    encoder = scorer.encoder
    num_pairs, tokens, seconds = 0, 0, 0.0
    for start in range(0, len(pairs), PROBE_PAIRS):
        some = pairs[start : start + PROBE_PAIRS]
        places = np.arange(len(some))
        started = time.monotonic()
        queries = encoder.queries([query for query, _ in some])
        documents = encoder.documents([document for _, document in some])
        scored = scorer.score_encoded(queries, documents, places, places)
        if start == 0 and len(pairs) > PROBE_PAIRS:
            continue  # the first call sets up kernels and buffers
        seconds += time.monotonic() - started
        num_pairs += len(some)
        tokens += int(scored.tokens_P.sum())
        if seconds > PROBE_S:
            break
    return {
        "pairs_per_second": num_pairs / max(seconds, 1e-9),
        "tokens_per_pair": tokens / num_pairs,
        "load_s": load_s,
        "scorer": scorer.describe(),
    }


class BlockWorker:
    """An actor: loads the model at its first call, then scores a block a call.

    What it raises comes back as a value in the column ``failure``: Ray Data would print pages of its own frames
    first.
    """

    def __init__(self, task: Any, pool_: Pool) -> None:
        telemetry.work_for(task.environment)
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
            figures = self._block(number)
        except Exception as error:
            logger.exception("block %d failed", number)  # the whole trace, in this worker's own log
            figures = {"block": number, "failure": pickle.dumps(_ours(error))}
        return {name: [value] for name, value in figures.items()}

    def _block(self, number: int) -> dict[str, Any]:
        started = time.time()
        layout = self._task.layout
        block = patiently(lambda: read_table(layout.block(number)))
        part = rerank_block(block, self._scorer, self._corpus, self._task.keep)
        patiently(lambda: write_table(layout.part(number), part))
        return {
            "block": number,
            **figures_of(part),
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
    blocks = ray.data.from_arrow([pa.table({"block": [number]}) for number in numbers])
    with warnings.catch_warnings():
        # Ray 2.60 has no other way to limit the retries than one that it calls deprecated.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        scored = blocks.map_batches(
            worker or BlockWorker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                min_size=least, max_size=most, initial_size=least, max_tasks_in_flight_per_actor=2
            ),
            **options(pool_),
            fn_constructor_kwargs={"task": task, "pool_": pool_},
            # Without a limit a block that kills whoever scores it is tried for ever.
            ray_remote_args_fn=lambda: {"max_task_retries": TRIES_AFTER_DEATH},
        )
    try:
        for figures in scored.iter_rows():
            if "failure" in figures:
                raise pickle.loads(figures["failure"])
            yield figures
    except ray.exceptions.RayError as error:
        raise _ours(error) from error


def task_of(layout: Layout, spec: ScorerSpec, corpus: CorpusSource | None, keep: Keep) -> Task:
    """The task for workers, with what they need of this process's environment."""
    return Task(layout, spec, corpus, keep, environment())


def _ours(error: BaseException) -> CrossrankError:
    """The crossrank error behind what a worker raised, or one sentence about what else went wrong there."""
    cause = getattr(error, "cause", None) or error  # Ray wraps what a task raises
    if isinstance(cause, CrossrankError):
        return cause
    what = [line.strip() for line in str(cause).splitlines() if line.strip()][-1:]
    return JobFailed(
        f"a worker failed: {': '.join([type(cause).__name__, *what])[:300]}; finished blocks are kept, so mend the "
        f"cause and run the same command again"
    )


def rerank_dataset(
    ds: ray.data.Dataset,
    *,
    model: str,
    query_column: str = "query",
    documents_column: str = "docs",
    top_n: int = 10,
    normalize: Normalize = "none",
    max_length: int = 512,
    precision: str | None = None,
    instruction: str | None = None,
    workers: int | tuple[int, int] | None = None,
    gpus_per_worker: float | None = None,
    batch_queries: int = 64,
) -> ray.data.Dataset:
    """Rank the documents of each row of a dataset, inside one's own Ray Data pipeline.

    Args:
        ds: rows with a query and a list of documents, each a string or a struct with ``text`` and perhaps ``title``.
        model: hub id, folder or ``s3://``; every node has to reach it.
        top_n: documents of a query that are kept; 0 keeps all.
        workers: how many, or the least and the most; None takes one for each GPU, or for each node without any.
        batch_queries: rows that are scored together; more of them pad less.

    Returns:
        The same rows with three more columns: ``ranking``, a list of ``{index, score}``, best first, where index is
        the place in the list of documents; ``status``, ``ok`` or ``rejected``; ``reason``, null or why. A document
        without text is in no ranking.

    Raises:
        ModelRefused: before anything runs, when the model is not one to score with.
        InputError: the dataset lacks a column; before anything runs where Ray knows the columns by then.
        SettingsError: a top_n below 0, an unknown normalize, GPUs that are not there.
    """
    if top_n < 0:
        raise SettingsError(f"top_n is {top_n}; use at least 1, or 0 to keep all")
    check_normalize(normalize)
    folder = find_model(model)
    check_model(folder)
    columns = ds.columns(fetch_if_missing=False)
    if columns is not None:
        check_columns(columns, query_column, documents_column)
    bounds = (workers, workers) if isinstance(workers, int) else workers
    connect()
    chosen = pool(Wanted(bounds, gpus_per_worker))
    where = storage.absolute(model) if folder.is_local else model  # workers have a working directory of their own
    spec = RerankerSpec(where, folder.revision, max_length, precision, instruction, None if chosen.gpus else "cpu")
    return ds.map_batches(
        RerankBatch,
        batch_size=batch_queries,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=chosen.least, max_size=chosen.most),
        **options(chosen),
        fn_constructor_kwargs={
            "spec": spec,
            "keep": Keep(top_n, normalize, with_text=False),
            "query_column": query_column,
            "documents_column": documents_column,
            "threads": chosen.threads(),
        },
    )
