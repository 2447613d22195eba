"""A paid service asked through Ray actors, a request a call.

Threads of the driver ask, and each waits for its answer; which worker asks does not matter to the rate, the budget or
the memory, which are the driver's.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from crossrank.cluster.on_ray.answers import Lost, answer_if_alive, answer_of
from crossrank.cluster.pool import Pool
from crossrank.errors import CrossrankError
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_context import environment
from crossrank.translation.service import Ask, FailureKind, PaidBackend, ServiceAnswer


class ServiceWorker:
    """An actor with a client of the service; its threads ask."""

    def __init__(self, backend: PaidBackend, threads: int, environment_: dict[str, str]) -> None:
        telemetry.work_for(environment_)
        self._service = backend.load(threads)

    def ask(self, text: str) -> ServiceAnswer:
        """Translate one text by one request."""
        return self._service.ask(text)

    def ready(self) -> None:
        """Return once the worker can be asked."""


@contextmanager
def asking(backend: PaidBackend, pool: Pool, concurrency: int) -> Iterator[Ask]:
    """A function that asks, spread over the workers of the pool; `concurrency` threads may call it at once."""
    threads = -(-concurrency // pool.max_workers)
    # One thread more for `ready`, so that it never waits for requests.
    options = {"num_cpus": 0.1, "max_concurrency": threads + 1, "max_restarts": -1, "max_task_retries": 0}
    worker = ray.remote(**options)(ServiceWorker)
    workers = [worker.remote(backend, threads, environment()) for _ in range(pool.max_workers)]
    try:
        _wait_for(workers)
        turns, lock = itertools.cycle(workers), threading.Lock()

        def ask(text: str) -> ServiceAnswer:
            with lock:
                taken = next(turns)
            try:
                answer: ServiceAnswer = answer_if_alive(taken.ask.remote(text))
            except Lost:
                return ServiceAnswer(FailureKind.UNANSWERED, "the worker that asked died")  # Ray starts it again
            except CrossrankError as error:
                return ServiceAnswer(FailureKind.REFUSED, str(error))
            return answer

        yield ask
    finally:
        for each in workers:
            ray.kill(each)


def _wait_for(workers: list[ray.actor.ActorHandle]) -> None:
    answer_of([each.ready.remote() for each in workers], "the start of a worker", "what is translated is kept")
