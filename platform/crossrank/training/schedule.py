"""The learning rate of each step, a function of the settings alone."""

from __future__ import annotations

import math
from typing import Literal

Shape = Literal["linear", "cosine", "constant"]


def factor(step: int, num_steps: int, warmup_ratio: float, shape: Shape) -> float:
    """Factor of the peak learning rate at a step, counted from 0.

    It rises in a line during the warm-up and then falls to 0 at `num_steps`, in a line or as half a cosine, or stays 1
    where `shape` is constant. The same as transformers' ``get_linear_schedule_with_warmup``
    and ``get_cosine_schedule_with_warmup``.
    """
    warmup = math.ceil(num_steps * warmup_ratio)
    if step < warmup:
        return step / warmup
    if shape == "constant":
        return 1.0
    done = (step - warmup) / max(1, num_steps - warmup)
    return 1.0 - done if shape == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
