"""Registry of runtimes, and the choice of one for a device and a number format."""

from __future__ import annotations

import torch

from crossrank.errors import SettingsError
from crossrank.scoring.runtimes.in_torch import TorchRuntime
from crossrank.scoring.runtimes.runtime import Runtime

RUNTIMES: tuple[Runtime, ...] = (TorchRuntime(),)
"""Runtimes in the order in which they are asked; the first that computes what is wanted serves it.

A new one is a file beside this and a row before torch, which computes every number format of floats.
"""


def runtime_of(device: torch.device, dtype: torch.dtype) -> Runtime:
    """The runtime that serves models there.

    Raises:
        SettingsError: none does.
    """
    for runtime in RUNTIMES:
        if runtime.computes(device, dtype):
            return runtime
    name = str(dtype).removeprefix("torch.")
    raise SettingsError(
        f"dtype is {name}, in which no model is computed on {device.type}; use float32, or leave it out"
    )
