"""A model whose backbone runs in a lower precision, and whose head stays in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


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
