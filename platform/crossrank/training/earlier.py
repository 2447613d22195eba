"""Checkpoints of earlier versions: what they hold in another way, so that a run which began with them goes on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor

from crossrank.scoring.float32_head import head_modules
from crossrank.training.optimizer import FRESH_HEAD_RATE


def order_of_state(
    model: Any, made: Collection[str], unmoved: Collection[str], rate: float, head_rate: float | None, has_adapter: bool
) -> list[str]:
    """Names of the weights in the order of an optimiser's state that names none.

    Such a state also has the weights that nothing can move. The weights are grouped by rate and decay. With an adapter,
    a head that was made afresh had the encoder's rate, since its name was no longer known.

    Args:
        made: names of the weights that the base's files lack.
    """
    of_heads = {id(parameter) for head in head_modules(model) for parameter in head.parameters()}
    groups: dict[tuple[float, bool], list[str]] = {}
    for name, parameter in model.named_parameters():
        is_head = id(parameter) in of_heads
        if not (parameter.requires_grad or (name in unmoved and (is_head or not has_adapter))):
            continue
        own_rate = FRESH_HEAD_RATE if name in made and not has_adapter else rate
        if is_head and head_rate is not None:
            own_rate = head_rate
        groups.setdefault((own_rate, parameter.ndim > 1), []).append(name)
    return [name for names in groups.values() for name in names]


def own_names(adapter: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an adapter by the model's own names, whether the checkpoint has those or the names of peft."""
    return {
        name.removeprefix("base_model.model.")
        .replace(".lora_A.weight", ".lora_A.default.weight")
        .replace(".lora_B.weight", ".lora_B.default.weight"): weight
        for name, weight in adapter.items()
    }
