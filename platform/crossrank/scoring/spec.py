"""Specs, which travel to a worker instead of a model, and load the same model there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from crossrank.errors import JobFailed
from crossrank.scoring.interfaces import Scorer


class ScorerSpec(Protocol):
    """Spec that loads a scorer where it is needed. It pickles. Tests and benchmarks have specs of stand-ins."""

    @property
    def revision(self) -> str:
        """Revision of the model, equal for specs that give equal scores."""

    @property
    def process_bytes(self) -> int:
        """Bytes of memory, about, of a process that scores with it on a CPU; 0 where that is little."""
        return 0

    def on(self, device: str | None, precision: str | None = None) -> ScorerSpec:
        """Spec of this scorer on a device, for scorers that have a choice.

        Args:
            device: ``cpu`` or ``cuda``; None takes a GPU if there is one.
            precision: number format that an earlier run chose; None leaves the scorer's own.
        """
        return self

    def load(self, threads: int | None) -> Scorer:
        """Load the scorer in this process.

        Args:
            threads: CPU threads it may use; None leaves that as it is.
        """


@dataclass(frozen=True, slots=True)
class RerankerSpec:
    """Spec of a `PairScorer`."""

    model: str
    revision: str
    max_length: int = 512
    precision: str | None = None
    instruction: str | None = None
    device: str | None = None
    process_bytes: int = 0
    """Bytes of memory, as `ScorerSpec.process_bytes` has them."""

    def on(self, device: str | None, precision: str | None = None) -> RerankerSpec:
        return replace(self, device=device, precision=precision or self.precision)

    def load(self, threads: int | None) -> Scorer:
        import torch

        from crossrank.scoring.loading import is_hub_id
        from crossrank.scoring.pair_scorer import PairScorer

        if threads is not None:
            # Ray sets OMP_NUM_THREADS=1 for an actor with a fraction of a CPU; logical CPUs only place it.
            torch.set_num_threads(threads)
        scorer = PairScorer.load(
            self.model,
            self.device,
            self.precision,
            self.max_length,
            instruction=self.instruction,
            revision=self.revision if is_hub_id(self.model) else None,  # the hub may have a newer one by now
        )
        if scorer.revision != self.revision:
            raise JobFailed(
                f"{self.model} is revision {scorer.revision} here, and the job began with {self.revision}; "
                f"put the first one back, or start afresh with --overwrite"
            )
        return scorer
