"""The scope of a verb: the lines and metrics of its function name the verb, and how it ended is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crossrank.errors import CrossrankError, exit_status
from crossrank.telemetry.job_context import set_verb, verb
from crossrank.telemetry.job_metrics import RUNS

CHAINS = ("recipe", "demo")
"""Verbs that run others under the others' own names. A verb inside any other verb counts as the outer one."""


@contextmanager
def verb_scope(name: str) -> Iterator[None]:
    """Name the verb in everything that is said and counted meanwhile. It decorates the verb's function, too."""
    outer = verb()
    if outer is not None and outer not in CHAINS:
        yield
        return
    set_verb(name)
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except CrossrankError as error:
        outcome = "refused" if exit_status(error) == 2 else outcome
        raise
    finally:
        RUNS.add(outcome=outcome)
        set_verb(outer)
