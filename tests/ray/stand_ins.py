"""A scorer that takes its time and writes down what it scores, so that a test can kill it and count what was lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelRefused
from crossrank.scoring.interfaces import EncodedText, Scored, Tokens
from crossrank.scoring.spec import ScorerSpec
from tests.unit.stand_ins import OverlapScorer


class LoggedScorer(OverlapScorer):
    """An `OverlapScorer` that sleeps for each pair, and before that appends ``PID PAIRS`` to a file."""

    def __init__(self, log: str, pair_s: float) -> None:
        super().__init__()
        self._log = log
        self._pair_s = pair_s

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        # One write of a few bytes to a file opened for appending: lines of several processes never mix.
        with open(self._log, "a", buffering=1) as log:
            log.write(f"{os.getpid()} {len(query_P)}\n")
        time.sleep(self._pair_s * len(query_P))
        return super().score_encoded(queries, documents, query_P, document_P)


@dataclass(frozen=True, slots=True)
class LoggedSpec(ScorerSpec):
    """A `LoggedScorer` to be loaded."""

    log: str
    pair_s: float

    @property
    def revision(self) -> str:
        return "logged-overlap"

    def load(self, threads: int | None) -> LoggedScorer:
        return LoggedScorer(self.log, self.pair_s)


class _GatedScorer(LoggedScorer):
    def __init__(self, log: str, gate: str) -> None:
        super().__init__(log, pair_s=0.0)
        self._gate = gate

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        while len(queries) == 1 and not os.path.exists(self._gate):  # never so while measuring
            time.sleep(0.05)
        return super().score_encoded(queries, documents, query_P, document_P)


@dataclass(frozen=True, slots=True)
class GatedSpec(ScorerSpec):
    """A scorer that waits with blocks of one query until a file is there: its job is at work for as long."""

    log: str
    gate: str

    @property
    def revision(self) -> str:
        return "gated-overlap"

    def load(self, threads: int | None) -> LoggedScorer:
        return _GatedScorer(self.log, self.gate)


def pairs_started(log: Path, pairs_of_probe: int) -> int:
    """Pairs that workers began to score; the calls of the probe, which have a size of their own, left out."""
    sizes = [int(line.split()[1]) for line in log.read_text().splitlines()]
    return sum(size for size in sizes if size != pairs_of_probe)


@dataclass(frozen=True, slots=True)
class RefusingSpec(ScorerSpec):
    """A model that loads once, for the probe, and is refused by every worker after it."""

    marker: str
    """A file that is made by the first to load."""

    @property
    def revision(self) -> str:
        return "refusing"

    def load(self, threads: int | None) -> OverlapScorer:
        if os.path.exists(self.marker):
            raise ModelRefused("the folder was emptied meanwhile; put the model back")
        open(self.marker, "w").close()
        return OverlapScorer()


class _FailingScorer(OverlapScorer):
    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        if len(queries) == 1:  # never so while measuring
            raise ZeroDivisionError("the forward divided by nothing")
        return super().score_encoded(queries, documents, query_P, document_P)


@dataclass(frozen=True, slots=True)
class FailingSpec(ScorerSpec):
    """A scorer with a bug, which blocks of one query show."""

    @property
    def revision(self) -> str:
        return "failing"

    def load(self, threads: int | None) -> OverlapScorer:
        return _FailingScorer()


class _DeadlyScorer(OverlapScorer):
    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        if len(queries) == 1:  # never so while measuring
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score_encoded(queries, documents, query_P, document_P)


@dataclass(frozen=True, slots=True)
class DeadlySpec(ScorerSpec):
    """A scorer that blocks of one query kill, as one that is too large for the memory does."""

    @property
    def revision(self) -> str:
        return "deadly"

    def load(self, threads: int | None) -> OverlapScorer:
        return _DeadlyScorer()


class _AbsentScorer(OverlapScorer):
    def __init__(self, back: str) -> None:
        super().__init__()
        self._back = back

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        found = super().score_encoded(queries, documents, query_P, document_P)
        is_even_Q = np.array([query.ids.sum() % 2 == 0 for query in queries if isinstance(query, Tokens)])
        is_answered_P = is_even_Q[query_P] != os.path.exists(self._back)
        return replace(found, logits_P=np.where(is_answered_P, found.logits_P, np.float32("nan")))


@dataclass(frozen=True, slots=True)
class AbsentSpec(ScorerSpec):
    """A server that answers half of the queries, and when a file is there, the other half."""

    back: str

    @property
    def revision(self) -> str:
        return "absent"

    def load(self, threads: int | None) -> OverlapScorer:
        return _AbsentScorer(self.back)
