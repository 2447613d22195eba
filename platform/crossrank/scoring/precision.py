"""Number formats in which a model computes, by the names that flags and manifests have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from crossrank.errors import SettingsError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]
"""Number format, as a flag names it."""
DTYPES: dict[Precision, str] = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Names of torch by ours."""


def choose_dtype(precision: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The number format of a model on a device; for None bf16 where a GPU has it, else fp32."""
    import torch

    if precision is None:
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if isinstance(precision, torch.dtype):
        return precision
    dtype = next((dtype for ours, dtype in DTYPES.items() if ours == precision), None)
    if dtype is None:
        raise SettingsError(f"precision is {precision!r}; use {', '.join(DTYPES)}")
    chosen: torch.dtype = getattr(torch, dtype)
    return chosen


def precision_of(dtype: str | None) -> Precision | None:
    """The precision by its name in torch, as a scorer says what it computes in; None for one that no flag names."""
    return next((precision for precision, name in DTYPES.items() if name == dtype), None)


def refuse_without_bf16(device: torch.device) -> None:
    """Refuse bf16 on a GPU older than Ampere, which computes it by way of fp32, many times slower.

    Raises:
        SettingsError: the device is such a GPU.
    """
    import torch

    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise SettingsError(f"precision is bf16, which {torch.cuda.get_device_name(device)} lacks; give fp16, or fp32")
