"""Small training runs on Ray: their settings, and what they left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

WEIGHT_TOLERANCE = 1e-3
"""Relative, for another number of workers: sums are then taken in another order."""
SAME = 1e-6


def given(tiny_model: str, groups: Path, output: Path, **more: Any) -> dict[str, Any]:
    """50 steps and more: 84 groups in steps of 8 are 11 steps an epoch."""
    settings = {
        "base": tiny_model,
        "groups": str(groups),
        "output": str(output),
        "gpus_per_worker": 0.0,
        "groups_per_step": 8,
        "train_group_size": 0,
        "num_train_epochs": 5,
        "learning_rate": 5e-4,
        "max_length": 96,
        "micro_batch_tokens": 700,
        "save_steps": 11,
        "dropout": 0.1,
    }
    return settings | more


def weights_of(output: Path) -> dict[str, torch.Tensor]:
    return load_file(output / "model.safetensors")


def assert_same_weights(found: Path, expected: Path) -> None:
    """To the last bits: what a kill must not change."""
    expected_weights = weights_of(expected)
    for name, weight in weights_of(found).items():
        difference = float((weight - expected_weights[name]).abs().max())
        assert difference <= SAME, (name, difference)


def assert_close_weights(found: Path, expected: Path) -> None:
    """Up to the order in which sums were taken, which another number of workers changes."""
    weights, others = weights_of(found), weights_of(expected)
    both = [torch.cat([each[name].flatten() for name in sorted(others)]) for each in (weights, others)]
    assert float((both[0] - both[1]).norm() / both[1].norm()) <= WEIGHT_TOLERANCE
    for name, weight in weights.items():
        difference = float((weight - others[name]).norm() / others[name].norm())
        assert difference <= WEIGHT_TOLERANCE, (name, difference)


def losses_of(output: Path, step: int) -> list[float]:
    history = json.loads((output / "_checkpoint" / f"step-{step:08}" / "history.json").read_text())
    return [row["loss"] for row in history if "loss" in row]
