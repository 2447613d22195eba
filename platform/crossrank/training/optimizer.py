"""AdamW over the weights that train, each at its rate, and its state, which holds their names."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from crossrank.scoring.float32_head import head_modules

FRESH_HEAD_RATE = 1e-3
"""Peak learning rate of a head that is made afresh: at the encoder's rate the loss stays at ln(group size) for many
steps."""


def rates_of(model: Any, fresh: Collection[str], rate: float, head_rate: float | None) -> dict[str, float]:
    """The peak learning rate of each weight that trains, by its name.

    Args:
        fresh: names of weights that were made afresh.
        rate: peak rate of all other weights.
        head_rate: peak rate of everything behind the backbone, and of a pooler; None is `FRESH_HEAD_RATE` for fresh
            weights and `rate` for others.
    """
    of_heads = {id(parameter) for head in head_modules(model) for parameter in head.parameters()}
    rates = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rates[name] = FRESH_HEAD_RATE if name in fresh else rate
            if id(parameter) in of_heads and head_rate is not None:
                rates[name] = head_rate
    return rates


def optimizer_of(model: Any, rates: dict[str, float], decay: float) -> Any:
    """AdamW with these rates: matrices decay, biases and norms do not."""
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if name in rates:
            key = (rates[name], decay if parameter.ndim > 1 else 0.0)
            groups.setdefault(key, []).append((name, parameter))
    return torch.optim.AdamW(
        [
            {"params": named, "lr": own_rate, "highest_lr": own_rate, "weight_decay": own_decay}
            for (own_rate, own_decay), named in groups.items()
        ],
        fused=True,
    )


def set_rate(optimizer: Any, multiplier: float) -> float:
    """Set every group's learning rate to its peak times `multiplier`; returns the first group's, for the log."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest_lr"] * multiplier
    rate: float = optimizer.param_groups[0]["lr"]
    return rate


def restore(optimizer: Any, state: dict[str, Any], names_before: Sequence[str]) -> list[str]:
    """Go on from a state, weight by weight by name; groups and rates stay as they are.

    Args:
        names_before: names of the weights in the order of a state that holds none.

    Returns:
        Names of weights whose state is dropped, because they no longer train.
    """
    named = [name for group in state["param_groups"] for name in group.get("param_names", ())]
    moments = {name: state["state"].get(place) for place, name in enumerate(named or names_before)}
    own = optimizer.state_dict()
    names = [name for group in own["param_groups"] for name in group["param_names"]]
    own["state"] = {place: moments[name] for place, name in enumerate(names) if moments[name] is not None}
    optimizer.load_state_dict(own)
    return sorted(moments.keys() - set(names))
