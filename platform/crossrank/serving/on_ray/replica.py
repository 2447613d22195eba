"""One replica: the model, its queue and the HTTP surface in one process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi import FastAPI
from ray import serve

from crossrank.scoring.spec import ScorerSpec
from crossrank.serving.app import AppContext, build_app, metrics_text
from crossrank.serving.dialects import Limits
from crossrank.serving.errors import RequestError
from crossrank.serving.fan_out import FanOut, estimate
from crossrank.serving.keys import ApiKeys
from crossrank.serving.metrics import Metrics
from crossrank.serving.on_ray.deadline import EarlierDeadline
from crossrank.serving.on_ray.siblings import SiblingReplicas, call_all, own_name
from crossrank.serving.quotas import Quotas
from crossrank.serving.request import ScoringRequest, ScoringResponse
from crossrank.serving.service import Deadlines, ScoringService
from crossrank.telemetry import job_context, log_format

Result = TypeVar("Result")

METRICS_S = 2.0
"""Seconds that other replicas have to give their series; one that hangs is left out."""


@dataclass(frozen=True, slots=True)
class ReplicaTask:
    """Settings of a replica, small enough to be sent to each. They hold the hashes of API keys, and no key."""

    spec: ScorerSpec
    threads: int
    model_names: tuple[str, ...]
    limits: Limits
    deadlines: Deadlines
    max_body_bytes: int
    keys: ApiKeys
    tokens_per_key: float | None
    environment: dict[str, str]
    max_replicas: int


@serve.ingress()
class RerankReplica:
    """The deployment. Its HTTP surface is built when its model is there."""

    async def __init__(self, task: ReplicaTask) -> None:  # type: ignore[misc]
        job_context.work_for(task.environment)
        job_context.set_verb("serve")  # a file for `serve deploy` is built by no verb
        log_format.set_up(is_driver=False)
        # In a thread that ends: OpenMP keeps a team of threads for each thread that computed, and with more of these
        # than cores it puts them to sleep between any two steps. The engine's thread alone is to have one.
        model: Any = _in_thread_of_its_own(lambda: task.spec.load(task.threads))
        self._service = ScoringService(model, task.deadlines)
        self._metrics = metrics = Metrics()
        about = model.describe()
        metrics.loaded(task.model_names[0], model.revision, str(about.get("dtype")))
        self._service.engine.on_batch = lambda batch, _: metrics.batch(batch, model.cost)
        model.on_memory_retry = metrics.memory_retry
        await self._service.start()
        context = AppContext(
            service=self._service,
            model_names=task.model_names,
            limits=task.limits,
            keys=task.keys,
            max_body_bytes=task.max_body_bytes,
            metrics=metrics,
            metrics_of_all=self._metrics_of_all,
            share=self._share,
            quotas=Quotas(task.tokens_per_key) if task.tokens_per_key else None,
        )
        if task.max_replicas > 1:
            siblings = SiblingReplicas()
            await siblings.start()
            fan_out = FanOut(self._service, siblings, estimate(self._service), metrics)
            context = replace(context, score=fan_out.score, num_replicas=siblings.num_replicas)
        self._context = context

    def __serve_build_asgi_app__(self) -> FastAPI:
        app = build_app(self._context)
        app.add_middleware(EarlierDeadline)
        return app

    async def check_health(self) -> None:
        """Raise when the model does not score; Ray Serve then replaces this replica."""
        await self._service.check()

    def record_autoscaling_stats(self) -> dict[str, float]:
        """Seconds of work that wait at this replica, for `replicas_for_backlog`."""
        rate = self._service.engine.tokens_per_second
        return {"backlog_s": self._service.admission.waiting_tokens / rate if rate else 0.0}

    async def metrics_text(self) -> str:
        """The series of this replica, for the one that was asked for those of all."""
        return metrics_text(self._context)

    async def remember(self, memory: str) -> None:
        """Learn what another replica has exposed of the series of all."""
        self._context.all_replicas.remember(memory)

    async def name(self) -> str:
        """Name by which the other replicas know this one."""
        return own_name()

    async def score_slice(self, name: str, request: ScoringRequest) -> ScoringResponse | RequestError | None:
        """Score for another replica that means the one of this name; None when this is another.

        A fault is a result: raised, it would come out as an error of Ray's, and be logged with its traceback here.
        """
        if name != own_name():
            return None
        try:
            answer = await self._service.score(request)
        except RequestError as fault:
            return fault
        self._metrics.for_sibling()
        return answer

    async def __del__(self) -> None:
        self._service.stop()

    async def _metrics_of_all(self) -> list[str]:
        return await call_all(_all_replicas(), "metrics_text", timeout_s=METRICS_S)

    async def _share(self, memory: str) -> None:
        await call_all(_all_replicas(), "remember", memory, timeout_s=METRICS_S)


def _all_replicas() -> Any:
    context = serve.get_replica_context()
    return serve.get_deployment_handle(context.deployment, context.app_name)


def _in_thread_of_its_own(act: Callable[[], Result]) -> Result:
    result: Future[Result] = Future()

    def run() -> None:
        try:
            result.set_result(act())
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=run, name="load")
    thread.start()
    thread.join()
    return result.result()
