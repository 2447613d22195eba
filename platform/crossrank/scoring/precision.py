"""Which part of a model runs in which number format."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from crossrank.errors import SettingsError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype:
    """The number format of a model on a device; for None bf16 where a GPU has it, else fp32."""
    if dtype is None:
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype not in PRECISIONS:
        raise SettingsError(f"precision is {dtype!r}; use {', '.join(PRECISIONS)}")
    return PRECISIONS[dtype]


def refuse_without_bf16(device: torch.device) -> None:
    """A GPU older than Ampere computes bf16 by way of fp32, many times slower: nobody means that.

    Raises:
        SettingsError: it is one.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise SettingsError(f"precision is bf16, which {torch.cuda.get_device_name(device)} lacks; give fp16, or fp32")


def lower_backbone(model: Any, dtype: torch.dtype) -> None:
    """Run the backbone in `dtype`, and everything after it in float32 on weights that were never rounded.

    In bfloat16 a logit has 8 bits: near 10 the steps are 0.06 wide, and documents that differ come out equal.
    Buffers stay as they are: rotary frequencies in bfloat16 would move far positions.
    """
    heads = head_modules(model)
    of_heads = {parameter for head in heads for parameter in head.parameters()}
    for parameter in model.parameters():
        if parameter not in of_heads:
            parameter.data = parameter.data.to(dtype)
    for head in heads:
        head.register_forward_pre_hook(_in_float32)


def keep_head_in_float32(model: Any) -> None:
    """Leave everything after the backbone out of the autocast that the rest of the model trains in."""
    for head in head_modules(model):
        head.register_forward_pre_hook(_in_float32)
        head.forward = torch.autocast(model.device.type, enabled=False)(head.forward)


def head_modules(model: Any) -> list[nn.Module]:
    """Everything after the backbone, its pooler among them."""
    backbone = model.base_model
    heads = [module for module in model.children() if module is not backbone]
    pooler = getattr(backbone, "pooler", None)
    return heads if pooler is None else [*heads, pooler]


def _in_float32(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        value.float() if isinstance(value, Tensor) and value.is_floating_point() else value for value in inputs
    )
