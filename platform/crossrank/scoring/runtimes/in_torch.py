"""The runtime that serves every model and trains it: torch, by one of two forwards."""

from __future__ import annotations

from typing import Any

import torch

from crossrank.errors import SettingsError
from crossrank.scoring.loading import ModelFolder, check_vocabulary, check_window, load_weights
from crossrank.scoring.runtimes.packed import PackedForward, packable
from crossrank.scoring.runtimes.padded import TransformersForward
from crossrank.scoring.runtimes.runtime import Loaded, TrainableForward
from crossrank.scoring.token_budget import token_budget


class TorchRuntime:
    """A `Runtime`: any device of torch, its number formats, every model family of transformers."""

    def computes(self, device: torch.device, dtype: torch.dtype) -> bool:
        return dtype.is_floating_point

    def load(
        self,
        folder: ModelFolder,
        config: dict[str, Any],
        hf_tokenizer: Any,
        *,
        device: torch.device,
        dtype: torch.dtype,
        max_length: int,
    ) -> Loaded:
        model = load_weights(folder, config, dtype, device)
        check_vocabulary(folder, hf_tokenizer, model)
        check_window(folder, model, max_length)
        forward = forward_of(model, hf_tokenizer)
        return Loaded(forward, token_budget(model.config, device, forward.cost, max_length))


def forward_of(model: Any, hf_tokenizer: Any, *, trains: bool = False, recompute: bool = False) -> TrainableForward:
    """The fastest forward that computes this model where it is.

    Args:
        trains: whether its weights will change, and gradients are wanted.
        recompute: whether layers are computed again for their gradients instead of being kept.
    """
    if packable(model):
        return PackedForward(model, trains=trains, recompute=recompute)
    pad_token_id = hf_tokenizer.pad_token_id if hf_tokenizer.pad_token_id is not None else model.config.pad_token_id
    if pad_token_id is None:
        raise SettingsError("the model names no padding token; set pad_token_id in its config.json")
    model.config.pad_token_id = pad_token_id  # decoder models find the last real token by it
    if recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return TransformersForward(model, pad_token_id)
