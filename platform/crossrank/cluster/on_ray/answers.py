"""The one place where a process waits for Ray: what a task or an actor answers, or one sentence about why it does not.

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
"""What failed, unless somebody says otherwise."""
RUN_AGAIN = "finished blocks are kept"
"""What a job goes on with, unless somebody says otherwise."""

Lost = ray.exceptions.RayActorError
"""Raised for a call to an actor that died, where the caller starts another."""


def answer_of(reference: Any, what: str = WORKER, kept: str = RUN_AGAIN, timeout_s: float | None = None) -> Any:
    """Wait for what a task or an actor answers; of several references a list.

    Args:
        what: is waited for, such as ``a worker``, for the sentence if it fails.
        kept: what the job goes on with, such as ``checkpoints are kept``.
        timeout_s: seconds to wait at most; None waits for as long as it takes.

    Raises:
        CrossrankError: what was raised there for the user; JobFailed for anything else.
    """
    try:
        return ray.get(reference, timeout=timeout_s)
    except ray.exceptions.RayError as error:
        raise ours(error, what, kept) from error


def answer_if_alive(reference: Any, what: str = WORKER, kept: str = RUN_AGAIN) -> Any:
    """As `answer_of`, but an actor that died raises `Lost`, and a stream that ended StopIteration."""
    try:
        return ray.get(next(reference) if isinstance(reference, ray.ObjectRefGenerator) else reference)
    except Lost:
        raise
    except ray.exceptions.RayError as error:
        raise ours(error, what, kept) from error


def first_of(references: Sequence[Reference]) -> Reference:
    """The first of several that has something to give; waits for it."""
    [ready], _ = ray.wait(list(references), num_returns=1)
    found: Reference = ready
    return found
