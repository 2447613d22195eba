"""What a test counts, kept for it to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from crossrank.telemetry.metrics import MemorySink, send_to


@contextmanager
def counting() -> Iterator[MemorySink]:
    """What is counted meanwhile; what other tests left is thrown away."""
    found = MemorySink()
    send_to(found)
    found.counts.clear()
    found.values.clear()
    yield found
    counts, values = dict(found.counts), dict(found.values)
    send_to(MemorySink())  # which takes them along
    found.counts, found.values = counts, values


def told(kept: MemorySink) -> dict[str, float]:
    """Numbers by the name of the series, without what all have in common, and the values of its labels."""
    return {
        " ".join([series.name.removeprefix("rr_job_"), *(value for _, value in labels if value)]): number
        for (series, labels), number in (kept.counts | kept.values).items()
    }
