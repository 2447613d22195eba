"""Checkpoints of a few bytes, written and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crossrank.training.checkpoint import Checkpoints


def filled_with(text: str) -> Callable[[Path], None]:
    """Writes a model and a state of a few bytes."""

    def write(folder: Path) -> None:
        (folder / "model.safetensors").write_text(f"model {text}")
        (folder / "training.pt").write_text(f"state {text}")

    return write


def save(checkpoints: Checkpoints, *steps: int, kept: tuple[int, ...] = ()) -> None:
    """A checkpoint for each of these steps, in its place when this returns."""
    for step in steps:
        checkpoints.save(step, filled_with(str(step)), kept)
    checkpoints.wait()


def read_model(folder: Path) -> str:
    return (folder / "model.safetensors").read_text()
