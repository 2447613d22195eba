"""How long a query takes, and when nothing is said of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.evaluation import timing
from crossrank.evaluation.timing import percentiles_ms, seconds_of
from crossrank.scoring.interfaces import EncodedText, Scored
from tests.unit.stand_ins import OverlapScorer


class Slow(OverlapScorer):
    """Takes a second on a clock of its own for each document, and ten more at its first two calls."""

    def __init__(self, poison: str | None = None) -> None:
        super().__init__(poison=poison)
        self.now = 0.0
        self.calls = 0

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        self.calls += 1
        self.now += len(documents) + (10 if self.calls <= 2 else 0)
        return super().score_encoded(queries, documents, query_P, document_P)


def timed(monkeypatch: pytest.MonkeyPatch, scorer: Slow, queries: list[tuple[str, list[str]]]) -> list[float] | None:
    class Clock:
        @staticmethod
        def perf_counter() -> float:
            return scorer.now

    monkeypatch.setattr(timing, "time", Clock)
    return seconds_of(scorer, queries)


QUERIES: Any = [("a", ["a"]), ("b", ["a", "b"]), ("c", ["a", "b", "c"])]


def test_the_first_calls_are_made_before_any_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(monkeypatch, Slow(), QUERIES) == [1, 2, 3]
    assert timed(monkeypatch, Slow(), QUERIES[:1]) == [11], "one query warms up once, and the second call is the first"


def test_a_server_that_leaves_a_query_without_scores_is_not_called_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    assert timed(monkeypatch, Slow(poison="c"), QUERIES) is None


def test_percentiles_by_hand() -> None:
    # Of 1, 2, ... 101 ms the middle one is 51, and the 99th of a hundred steps is 100.
    assert percentiles_ms([n / 1000 for n in range(1, 102)]) == {"p50_ms": 51.0, "p99_ms": 100.0}
    assert percentiles_ms([]) == {}
    assert math.isclose(percentiles_ms([0.25])["p99_ms"], 250)
