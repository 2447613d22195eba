"""A function called on one worker, to measure it or to work where the models are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ray

from crossrank.cluster.on_ray import options
from crossrank.cluster.on_ray.answers import RUN_AGAIN, WORKER, answer_of
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_context import environment


def begin_call(pool_: Pool, function: Callable[..., Any], *arguments: Any) -> ray.ObjectRef:
    """Call a function on one worker of a pool; `returned` waits for its result."""
    # One call and its process ends: what it loaded would stay, and a worker of the job might be put into it.
    once: dict[str, Any] = {"max_retries": 2, "max_calls": 1}
    called: ray.ObjectRef = ray.remote(**options(pool_), **once)(_call).remote(environment(), function, arguments)
    return called


def returned(called: ray.ObjectRef, what: str = WORKER, kept: str = RUN_AGAIN) -> Any:
    """Wait for the result of a call that `begin_call` began.

    Args:
        what: name of what was called, such as ``the measurement``, for the sentence if it fails.
        kept: what the job goes on with.

    Raises:
        CrossrankError: the one that was raised there.
        JobFailed: anything else that went wrong there.
    """
    with watching(kept):
        return answer_of(called, what, kept)


def _call(environment_: Mapping[str, str], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    telemetry.work_for(environment_)
    return function(*arguments)
