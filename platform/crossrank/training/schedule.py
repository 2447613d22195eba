"""The learning rate of each step, and which weights have which: functions of the settings alone."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch

Shape = Literal["linear", "cosine", "constant"]

FRESH_HEAD_RATE = 1e-3
"""Of a head that begins from nothing: with the encoder's rate the loss stays at ln(group size) for many steps."""


def factor(step: int, num_steps: int, warmup_ratio: float, shape: Shape) -> float:
    """What the highest learning rate is multiplied with at a step, counted from 0.

    It rises in a line for the warm-up and then falls to 0 at `num_steps`, in a line or as half a cosine. The same as
    transformers' ``get_linear_schedule_with_warmup`` and ``get_cosine_schedule_with_warmup``.
    """
    warmup = math.ceil(num_steps * warmup_ratio)
    if step < warmup:
        return step / warmup
    if shape == "constant":
        return 1.0
    done = (step - warmup) / max(1, num_steps - warmup)
    return 1.0 - done if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))


def optimizer_of(model: Any, fresh: list[str], rate: float, head_rate: float | None, decay: float) -> Any:
    """AdamW over the weights that train: matrices decay, biases and norms do not.

    Args:
        fresh: names of weights that were made afresh.
        head_rate: of everything outside the backbone, and of a pooler; None is `FRESH_HEAD_RATE` for fresh weights
            and `rate` for others.
    """
    groups: dict[tuple[float, float], list[Any]] = {}
    prefix = f"{model.base_model_prefix}."
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_head = prefix not in name or f"{prefix}pooler." in name  # adapters put a name of their own before it
        own_rate = rate
        if is_head and head_rate is not None:
            own_rate = head_rate
        elif name in fresh:
            own_rate = FRESH_HEAD_RATE
        groups.setdefault((own_rate, decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": own_rate, "highest_lr": own_rate, "weight_decay": own_decay}
            for (own_rate, own_decay), parameters in groups.items()
        ],
        fused=True,
    )


def set_rate(optimizer: Any, multiplier: float) -> float:
    """Put every group's learning rate at this part of its highest; returns the first group's, for the log."""
    for group in optimizer.param_groups:
        group["lr"] = group["highest_lr"] * multiplier
    rate: float = optimizer.param_groups[0]["lr"]
    return rate
