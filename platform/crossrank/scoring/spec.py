"""What travels to a worker instead of a model: enough to load the same one there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from crossrank.errors import JobFailed
from crossrank.scoring.interfaces import Scorer


class ScorerSpec(Protocol):
    """Loads a scorer where it is needed. It pickles. Stand-ins for tests and benchmarks are specs of their own."""

    @property
    def revision(self) -> str:
        """Equal for specs that give equal scores."""

    def load(self, threads: int | None) -> Scorer:
        """The scorer, in this process.

        Args:
            threads: CPU threads it may use; None leaves that as it is.
        """


def process_bytes_of(spec: ScorerSpec | None) -> int:
    """About what a process takes that scores with it on a CPU; 0 for a server, and where it is not known."""
    found: int = getattr(spec, "process_bytes", 0)
    return found


@dataclass(frozen=True, slots=True)
class RerankerSpec:
    """A `PairScorer` to be loaded."""

    model: str
    revision: str
    max_length: int = 512
    precision: str | None = None
    instruction: str | None = None
    device: str | None = None
    process_bytes: int = 0
    """About what a process takes that scores with it on a CPU."""

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
