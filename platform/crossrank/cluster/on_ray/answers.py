"""Waiting for Ray: the result of a task or an actor, or one sentence about why there is none.

`ray.get`, `ray.wait` and `ray.init` stand in this folder alone, which a test holds: whoever called them elsewhere would
show its user a page of Ray's frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import ray

from crossrank.cluster.failures import ours

Reference = TypeVar("Reference")

WORKER = "a worker"
"""Default name in a sentence for what failed."""
RUN_AGAIN = "finished blocks are kept"
"""Default clause in a sentence for what the job goes on with."""

Lost = ray.exceptions.RayActorError
"""Error of a call to an actor that died, for callers that start another one."""


def answer_of(reference: Any, what: str = WORKER, kept: str = RUN_AGAIN, timeout_s: float | None = None) -> Any:
    """Wait for the result of a task or an actor; several references give a list.

    Args:
        what: name of what is waited for, such as ``a worker``, for the sentence if it fails.
        kept: what the job goes on with, such as ``checkpoints are kept``.
        timeout_s: seconds to wait at most; None waits for as long as it takes.

    Raises:
        CrossrankError: the one that was raised there.
        JobFailed: anything else that went wrong there.
    """
    try:
        return ray.get(reference, timeout=timeout_s)
    except ray.exceptions.RayError as error:
        raise ours(error, what, kept) from error


def answer_if_alive(reference: Any, what: str = WORKER, kept: str = RUN_AGAIN) -> Any:
    """Wait as `answer_of` does; an actor that died raises `Lost`, and a stream that ended raises StopIteration."""
    try:
        return ray.get(next(reference) if isinstance(reference, ray.ObjectRefGenerator) else reference)
    except Lost:
        raise
    except ray.exceptions.RayError as error:
        raise ours(error, what, kept) from error


def first_of(references: Sequence[Reference]) -> Reference:
    """Wait until one of several references is ready, and return it."""
    [ready], _ = ray.wait(list(references), num_returns=1)
    first: Reference = ready
    return first
