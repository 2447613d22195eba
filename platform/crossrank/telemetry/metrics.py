"""Counters and gauges of this process. Where they go is somebody else's business: `on_ray.py` gives them to Ray.

What is counted before there is anywhere to go is kept, and goes there then.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from crossrank.telemetry.job_context import verb

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted."""


@dataclass(frozen=True, slots=True)
class Series:
    """A metric: all its values, one for each set of labels."""

    name: str
    kind: Literal["counter", "gauge"]
    unit: str
    meaning: str
    labels: tuple[str, ...] = ()
    """Beside those that every series has."""

    def add(self, number: float = 1, **labels: str) -> None:
        """Count so many more; nothing of none."""
        assert self.kind == "counter", self.name
        assert set(labels) == set(self.labels), (self.name, labels)
        if number > 0:
            with _lock:
                _sink.add(self, _of_verb(labels), number)

    def set(self, value: float, **labels: str) -> None:
        """It is so much now."""
        assert self.kind == "gauge", self.name
        assert set(labels) == set(self.labels), (self.name, labels)
        with _lock:
            _sink.set(self, _of_verb(labels), value)


class Sink(Protocol):
    """Where figures go."""

    def add(self, series: Series, labels: Mapping[str, str], number: float) -> None:
        """Count so many more."""

    def set(self, series: Series, labels: Mapping[str, str], value: float) -> None:
        """It is so much now."""


@dataclass(slots=True)
class Kept:
    """Figures that are kept here."""

    counts: dict[tuple[Series, Labels], float] = field(default_factory=dict)
    values: dict[tuple[Series, Labels], float] = field(default_factory=dict)

    def add(self, series: Series, labels: Mapping[str, str], number: float) -> None:
        key = (series, tuple(sorted(labels.items())))
        self.counts[key] = self.counts.get(key, 0.0) + number

    def set(self, series: Series, labels: Mapping[str, str], value: float) -> None:
        self.values[series, tuple(sorted(labels.items()))] = value


_sink: Sink = Kept()
_lock = threading.Lock()


def send_to(sink: Sink) -> Sink:
    """Give all figures to a sink from now on, and those that were kept; gives the one that had them so far."""
    global _sink
    with _lock:
        before, _sink = _sink, sink
        if isinstance(before, Kept):
            for (series, labels), number in before.counts.items():
                sink.add(series, dict(labels), number)
            for (series, labels), value in before.values.items():
                sink.set(series, dict(labels), value)
            before.counts.clear()
            before.values.clear()
    return before


def _of_verb(labels: Mapping[str, str]) -> dict[str, str]:
    return {**labels, "verb": verb() or ""}
