"""Counters and gauges of this process, and the sink that they go to: `on_ray.py` gives them to Ray.

Figures from before there is such a sink are kept in memory, and go to it then.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from crossrank.telemetry.job_context import verb

Labels = tuple[tuple[str, str], ...]
"""Names and values of labels, sorted by name."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric: all its values, one for each set of labels."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    """Names of the labels beside those that every series has."""

    def add(self, number: float = 1, **labels: str) -> None:
        """Count `number` more; counting 0 makes no series."""
        assert self.kind == "counter", self.name
        assert set(labels) == set(self.labels), (self.name, labels)
        if number > 0:
            with _lock:
                _sink.add(self, _of_verb(labels), number)

    def set(self, value: float, **labels: str) -> None:
        """Set the gauge to its present value."""
        assert self.kind == "gauge", self.name
        assert set(labels) == set(self.labels), (self.name, labels)
        with _lock:
            _sink.set(self, _of_verb(labels), value)


class Sink(Protocol):
    """A receiver of figures."""

    def add(self, series: Series, labels: Mapping[str, str], number: float) -> None:
        """Count `number` more."""

    def set(self, series: Series, labels: Mapping[str, str], value: float) -> None:
        """Set a gauge to its present value."""


@dataclass(slots=True)
class MemorySink:
    """Figures that are kept in memory until `send_to` gives them to another sink."""

    counts: dict[tuple[Series, Labels], float] = field(default_factory=dict)
    values: dict[tuple[Series, Labels], float] = field(default_factory=dict)

    def add(self, series: Series, labels: Mapping[str, str], number: float) -> None:
        key = (series, tuple(sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0.0) + number

    def set(self, series: Series, labels: Mapping[str, str], value: float) -> None:
        self.values[series, tuple(sorted(labels.items()))] = value


_sink: Sink = MemorySink()
_lock = threading.Lock()


def send_to(sink: Sink) -> Sink:
    """Send all figures to a sink from now on, with those kept in memory; returns the sink that had them before."""
    global _sink
    with _lock:
        before, _sink = _sink, sink
        if isinstance(before, MemorySink):
            for (series, labels), number in before.counts.items():
                sink.add(series, dict(labels), number)
            for (series, labels), value in before.values.items():
                sink.set(series, dict(labels), value)
            before.counts.clear()
            before.values.clear()
    return before


def _of_verb(labels: Mapping[str, str]) -> dict[str, str]:
    return {**labels, "verb": verb() or ""}
