"""The interfaces behind which ways of computing logits may differ, from whole runtimes to the pass over a batch.

Shape letters: B pairs of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crossrank.batching import Cost
from crossrank.derived import Derived
from crossrank.scoring.loading import ModelFolder

if TYPE_CHECKING:
    import torch


class Forward(Protocol):
    """Computes the logits of one batch."""

    cost: Cost
    """Cost of a batch, by which it is cut: whether padding is computed too."""
    name: str
    """Name in manifests and logs."""

    def __call__(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> torch.Tensor:
        """Logits in float32, shape (B,), on the model's device; `first_B` as in `EncodedPairs.first_P`."""


class TrainableForward(Forward, Protocol):
    """A forward of a torch model whose weights change."""

    def logits(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> torch.Tensor:
        """Logits as a call gives them, with gradients where they are wanted."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, ready to score."""

    forward: Forward
    budget: Derived[int]
    """Token slots of a batch, at least one full window, where the user names none."""


class Runtime(Protocol):
    """Loads models and computes their logits. It imports its library where it loads, not before."""

    def computes(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether it serves models on this device and in this number format."""

    def load(
        self,
        folder: ModelFolder,
        config: dict[str, Any],
        hf_tokenizer: Any,
        *,
        device: torch.device,
        dtype: torch.dtype,
        max_length: int,
    ) -> Loaded:
        """A sequence-classification model with one logit, whose `config` was checked.

        Raises:
            ModelRefused: weights missing or unreadable, a tokenizer that does not belong to it.
            SettingsError: a window that the model does not have.
        """
