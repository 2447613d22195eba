"""A model that fails as it is told by a file beside it, while its server runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossrank.config.settings import from_mapping
from crossrank.scoring.pair_scorer import PairScorer
from crossrank.scoring.spec import ScorerSpec
from crossrank.serving.settings import ReplicaSettings


def fault_file(model: str) -> Path:
    """Where it is told: `raise`, `nan`, `memory`, `pause` until told otherwise, `hang` for ever; no file, no fault."""
    return Path(f"{model}.fault")


@dataclass(frozen=True, slots=True)
class FaultySpec(ScorerSpec):
    """Loads a `Faulty`."""

    model: str
    revision: str = "faulty"

    def load(self, threads: int | None) -> Any:
        model = Faulty.load(self.model, "cpu")
        model._forward = Tight(model._forward, fault_file(self.model))
        return model


class Faulty(PairScorer):
    """A reranker with faults."""

    def launch(self, ids_B: Any, first_B: Any) -> Any:
        fault = _fault(fault_file(self.name))
        if fault == "raise":
            raise RuntimeError("made to fail")
        while fault == "pause":
            time.sleep(0.05)
            fault = _fault(fault_file(self.name))
        if fault == "hang":
            time.sleep(3600)
        return super().launch(ids_B, first_B)

    def read(self, launched: Any) -> Any:
        logits_B = super().read(launched)
        return np.full_like(logits_B, np.nan) if _fault(fault_file(self.name)) == "nan" else logits_B


class Tight:
    """A forward for which a batch of two pairs is too much memory while it is told so."""

    def __init__(self, forward: Any, told: Path) -> None:
        self._forward = forward
        self._told = told

    def __getattr__(self, name: str) -> Any:
        return getattr(self._forward, name)

    def __call__(self, ids_B: Any, first_B: Any) -> torch.Tensor:
        if _fault(self._told) == "memory" and len(ids_B) > 1:
            raise torch.cuda.OutOfMemoryError("made up")
        logits_B: torch.Tensor = self._forward(ids_B, first_B)
        return logits_B


def _fault(told: Path) -> str:
    try:
        return told.read_text()
    except FileNotFoundError:
        return ""


def build(args: dict[str, Any]) -> Any:
    """The application, with the args of any file of serve/."""
    from crossrank.serving.on_ray.start import application  # not in the test, which asks for `fault_file` alone

    return application(from_mapping(ReplicaSettings, args, "args"), FaultySpec(args["model"]))
