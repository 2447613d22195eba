"""The model that trains: loaded from its base, with a head and perhaps adapters, and saved to load anywhere."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crossrank.errors import MissingExtra
from crossrank.scoring.encoding import PromptEncoder, SpliceEncoder, Tokenizer
from crossrank.scoring.float32_head import head_modules, keep_head_in_float32
from crossrank.scoring.loading import (
    ModelFolder,
    check_base,
    check_vocabulary,
    check_window,
    has_head,
    load_base,
    load_tokenizer,
)
from crossrank.scoring.model_families import encoder_of
from crossrank.scoring.pooling import head_reads, read_on_as, renew_unread_head
from crossrank.scoring.runtimes.in_torch import forward_of
from crossrank.scoring.runtimes.runtime import TrainableForward
from crossrank.scoring.truncation import remember_truncation
from crossrank.training import earlier
from crossrank.training.portable import make_portable
from crossrank.training.settings import TrainSettings
from crossrank.training.unmoved import level_bias, unmoved

WEIGHTS = "model.safetensors"


class TrainedModel:
    """A model with one logit in float32, the encoder of its inputs, and its forward pass."""

    def __init__(self, settings: TrainSettings, folder: ModelFolder, device: torch.device) -> None:
        config = check_base(folder)
        self.tokenizer = load_tokenizer(folder)
        self.model, self._made = load_base(folder, config, settings.seed, **head_reads(folder, config))
        unread = renew_unread_head(folder, config, self.model, self._made, settings.seed)
        self.fresh = sorted({*self._made, *unread})
        """Names of the weights that are made afresh: the base has no head, or one that it was never read by."""
        self.level = level_bias(self.model)
        """Name of the bias that raises all scores alike; None in a head without one."""
        self._unmoved = unmoved(self.model, moves_level=bool(settings.objective.level_terms))
        check_vocabulary(folder, self.tokenizer, self.model)
        check_window(folder, self.model, settings.max_length)
        self.encoder: SpliceEncoder | PromptEncoder = encoder_of(
            folder.name,
            config,
            Tokenizer(self.tokenizer),
            settings.max_length,
            settings.instruction,
            settings.truncation,
        )
        remember_truncation(self.model.config, settings.truncation, settings.max_length)
        self.model.to(device)
        if settings.freeze_embeddings:
            self.model.base_model.get_input_embeddings().requires_grad_(False)
            getattr(self.model.base_model, "embeddings", nn.Identity()).requires_grad_(False)
        if settings.dropout is not None:
            _set_dropout(self.model, settings.dropout)
        self._adapted = _adapted(self.model, settings) if settings.lora_rank else None
        for name, parameter in self.model.named_parameters():
            if name in self._unmoved:
                parameter.requires_grad_(False)
        keep_head_in_float32(self.model)
        self._max_length = settings.max_length
        # The adapters are put into the model itself, so its forward pass computes them too.
        self.forward: TrainableForward = forward_of(
            self.model, self.tokenizer, trains=True, recompute=settings.gradient_checkpointing
        )

    def save(self, folder: Path) -> None:
        """Write a model folder: adapters merged, weights in float32, the tokenizer with the window of the training."""
        model = self.model
        if self._adapted is not None:
            model = copy.deepcopy(self._adapted).merge_and_unload()
        model.save_pretrained(folder)
        self.tokenizer.model_max_length = self._max_length
        self.tokenizer.save_pretrained(folder)
        make_portable(folder, self.tokenizer)

    def adapter_state(self) -> dict[str, Any] | None:
        """The weights that a run with adapters needs beside the base, by the model's names; None without adapters."""
        if self._adapted is None:
            return None
        of_heads = {id(parameter) for head in head_modules(self.model) for parameter in head.parameters()}
        return {
            name: parameter.detach()
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad or id(parameter) in of_heads
        }

    def names_before(self, rate: float, head_rate: float | None) -> list[str]:
        """Names of the weights in the order of the optimiser's state of an earlier version, which holds no names."""
        return earlier.order_of_state(
            self.model, self._made, self._unmoved, rate, head_rate, has_adapter=self._adapted is not None
        )

    def restore(self, folder: Path, adapter: dict[str, Any] | None) -> None:
        """Load the weights of a checkpoint.

        Raises:
            ValueError: the checkpoint lacks weights, or has others.
        """
        read_on_as(self.model, folder)
        if self._adapted is not None:
            assert adapter is not None, "a run with adapters keeps their state"
            lacking, unknown = self.model.load_state_dict(earlier.own_names(adapter), strict=False)
            trained = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
            if unknown or trained & set(lacking):
                raise ValueError(f"it lacks {sorted(trained & set(lacking))[:1]} and has {unknown[:1]} too many")
            return
        from safetensors.torch import load_file

        weights = load_file(folder / WEIGHTS) if (folder / WEIGHTS).exists() else _sharded(folder, load_file)
        # Weights that are tied are written once.
        lacking, unknown = self.model.load_state_dict(weights, strict=False)
        tied = set(getattr(self.model, "all_tied_weights_keys", None) or ())
        if unknown or set(lacking) - tied:
            raise ValueError(f"it lacks {sorted(set(lacking) - tied)[:1]} and has {unknown[:1]} too many")


def is_headless(folder: ModelFolder) -> bool:
    """Whether the base is an encoder without a head, which gets one to be trained."""
    return not has_head(check_base(folder))


def _sharded(folder: Path, load_file: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    names = json.loads((folder / f"{WEIGHTS}.index.json").read_text())["weight_map"].values()
    weights: dict[str, Any] = {}
    for name in sorted(set(names)):
        weights |= load_file(folder / name)
    return weights


def _set_dropout(model: Any, probability: float) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = probability


def _adapted(model: Any, settings: TrainSettings) -> Any:
    """LoRA on every linear layer of the backbone; the head, its pooler among it, trains as it is.

    The head is not named to peft, which would put a copy under another name in its place: code that knows weights by
    their names would not find it.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtra.of("peft", "lora", "lora_rank") from error
    heads = head_modules(model)
    in_heads = {id(module) for head in heads for module in head.modules()}
    linears = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and id(module) not in in_heads
    ]
    torch.manual_seed(settings.seed)  # the adapters are drawn alike on every rank
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        target_modules=linears,
        bias="none",
    )
    adapted = get_peft_model(model, config)
    for head in heads:
        head.requires_grad_(True)
    return adapted
