"""Local models in Ray actors: each takes hundreds of texts a call, and gives them back as its batches are done."""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import ray

from crossrank.cluster.failures import why_it_died
from crossrank.cluster.on_ray import options
from crossrank.cluster.on_ray.answers import WORKER, Lost, answer_if_alive, answer_of, first_of
from crossrank.cluster.on_ray.deaths import Watch, watching
from crossrank.cluster.pool import Pool
from crossrank.errors import JobFailed
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_context import environment
from crossrank.telemetry.job_metrics import RESTARTS
from crossrank.translation.backend import Backend, Outcome, Translator

TEXTS_PER_CALL = 512
"""Texts of one call, which the worker sorts by length, so that batches have little padding."""
CALLS_AHEAD = 2
"""Calls that a worker has at once, so that it never waits for the driver."""
TRIES_AFTER_DEATH = 5
KEPT = "what is translated is kept"

Done = Sequence[tuple[int, Outcome]]
"""Outcomes with the place of their text in the call."""


class ModelWorker:
    """An actor with a model. It is loaded and computes in one thread: OpenMP has a team of threads for each."""

    def __init__(self, backend: Backend, pool: Pool, environment_: dict[str, str]) -> None:
        telemetry.work_for(environment_)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._backend = backend
        self._pool = pool
        self._thread = ThreadPoolExecutor(1)
        self._translator: Translator | None = None

    def translate(self, texts: list[str]) -> Iterator[Done]:
        """Translate texts; gives outcomes as they come."""
        done: queue.SimpleQueue[Done | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                self._loaded().translate(texts, lambda outcomes: done.put(list(outcomes)))
            finally:
                done.put(None)

        working = self._thread.submit(work)
        while (outcomes := done.get()) is not None:
            yield outcomes
        working.result()

    def seconds(self, texts: list[str]) -> float:
        """Seconds that these texts take, without the loading."""

        def work() -> float:
            translator = self._loaded()
            started = time.monotonic()
            translator.translate(texts, lambda outcomes: None)
            return time.monotonic() - started

        return self._thread.submit(work).result()

    def _loaded(self) -> Translator:
        if self._translator is None:
            import torch

            torch.set_num_threads(self._pool.threads())
            self._translator = self._backend.load()
        return self._translator


@dataclass(slots=True)
class _Call:
    """Texts that a worker has, and those of them that are not back."""

    worker: int
    actor: ray.actor.ActorHandle
    texts: list[str]
    left: set[int]
    deaths: int


def translate_on(
    backend: Backend, pool: Pool, texts: Iterator[str], keep: Callable[[Sequence[tuple[str, Outcome]]], None]
) -> None:
    """Translate all texts on the workers of the pool, keeping what is done as it comes.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    with watching(KEPT) as watch:
        _translate_on(backend, pool, texts, keep, watch)


def _translate_on(
    backend: Backend,
    pool: Pool,
    texts: Iterator[str],
    keep: Callable[[Sequence[tuple[str, Outcome]]], None],
    watch: Watch,
) -> None:
    workers = [_worker(backend, pool) for _ in range(pool.max_workers)]
    calls: dict[ray.ObjectRefGenerator, _Call] = {}

    def begin(number: int, batch: list[str], deaths: int = 0) -> None:
        method = workers[number].translate.options(num_returns="streaming")
        calls[method.remote(batch)] = _Call(number, workers[number], batch, set(range(len(batch))), deaths)

    def begin_next(number: int) -> None:
        if batch := list(islice(texts, TEXTS_PER_CALL)):
            begin(number, batch)

    try:
        for number in [*range(pool.max_workers)] * CALLS_AHEAD:
            begin_next(number)
        while calls:
            ready = first_of(list(calls))
            call = calls[ready]
            try:
                outcomes: Done = answer_if_alive(ready, WORKER, KEPT)
            except StopIteration:
                del calls[ready]
                if call.left:
                    raise JobFailed(f"{len(call.left)} texts came back without an outcome; this is a bug") from None
                begin_next(call.worker)
            except Lost as error:
                del calls[ready]
                if call.deaths >= TRIES_AFTER_DEATH:
                    raise JobFailed(
                        f"{call.deaths + 1} workers died with the same texts ({why_it_died(error)}); {KEPT}, so mend "
                        f"the cause and run the same command again"
                    ) from error
                if workers[call.worker] is call.actor:  # its other call may have come back before
                    workers[call.worker] = _worker(backend, pool)
                    RESTARTS.add()
                begin(call.worker, [call.texts[place] for place in sorted(call.left)], call.deaths + 1)
            else:
                watch.progressed()
                call.left -= {place for place, _ in outcomes}
                keep([(call.texts[place], outcome) for place, outcome in outcomes])
    finally:
        for each in workers:
            ray.kill(each)


def seconds_of(backend: Backend, pool: Pool, texts: list[str]) -> float:
    """Seconds that these texts take one worker.

    Raises:
        CrossrankError: what the worker raised for the user; JobFailed for anything else.
    """
    worker = _worker(backend, pool)
    try:
        with watching(KEPT):
            found: float = answer_of(worker.seconds.remote(texts), WORKER, KEPT)
    finally:
        ray.kill(worker)
    return found


def _worker(backend: Backend, pool: Pool) -> ray.actor.ActorHandle:
    return ray.remote(**options(pool), max_concurrency=1)(ModelWorker).remote(backend, pool, environment())
