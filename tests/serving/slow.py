"""A model that is slow without work: how replicas scale is measured, and not how many cores this machine has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from crossrank.config.settings import from_mapping
from crossrank.scoring.pair_scorer import PairScorer
from crossrank.scoring.spec import ScorerSpec
from crossrank.serving.on_ray.start import application
from crossrank.serving.settings import ReplicaSettings

BUDGET = 1024
"""Token slots of a batch."""
BATCH_S = 0.1
"""What each batch takes at least."""


@dataclass(frozen=True, slots=True)
class SlowSpec(ScorerSpec):
    """Loads a `Slow`."""

    model: str
    revision: str = "slow"

    def load(self, threads: int | None) -> Any:
        return Slow(PairScorer.load(self.model, "cpu", budget=BUDGET))


class Slow:
    """A reranker that sleeps for a while at every batch."""

    def __init__(self, scorer: PairScorer) -> None:
        self._scorer = scorer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def read(self, launched: Any) -> Any:
        time.sleep(BATCH_S)
        return self._scorer.read(launched)


def build(args: dict[str, Any]) -> Any:
    """The application, with the args of any file of serve/."""
    return application(from_mapping(ReplicaSettings, args, "args"), SlowSpec(args["model"]))
