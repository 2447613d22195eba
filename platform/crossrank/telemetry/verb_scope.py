"""What a verb's function is wrapped in, so that what it says and counts names the verb, and its end is counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crossrank.errors import CrossrankError, exit_status
from crossrank.telemetry.job_context import set_verb, verb
from crossrank.telemetry.job_metrics import RUNS

CHAINS = ("recipe", "demo")
"""Verbs that do others, which then go by their own names. What another verb does inside is done for it."""


@contextmanager
def verb_scope(name: str) -> Iterator[None]:
    """All that is said and counted meanwhile is of this verb. A decorator of the verb's function."""
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
