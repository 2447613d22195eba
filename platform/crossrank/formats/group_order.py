"""Groups as they are read: their documents by rank, and what contradicts that said once, with its count."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from crossrank.formats.document_order import by_rank, contradicts_ranks
from crossrank.records import Group
from crossrank.telemetry.progress import say_once

_GLANCES: ContextVar[bool] = ContextVar("glances", default=False)


@contextmanager
def glancing() -> Iterator[None]:
    """Read only until a usable group is found, without a report on ranks: that is printed when all groups are read."""
    before = _GLANCES.set(True)
    try:
        yield
    finally:
        _GLANCES.reset(before)


def in_rank_order(located: Iterator[tuple[int, Group]], uri: str) -> Iterator[tuple[int, Group]]:
    """The groups of `uri` with their lines. Ranks, where documents have any, decide, and not the order of the list."""
    read = reordered = 0
    try:
        for line, group in located:
            read += 1
            reordered += contradicts_ranks(group.docs)
            yield line, replace(group, docs=by_rank(group.docs))
    finally:
        if reordered and not _GLANCES.get():
            say_once(
                f"ranks of {uri}",
                f"{uri}: in {reordered:,} of {read:,} groups the documents stand in another order than their ranks "
                f"say; the ranks decide",
            )
