"""What a model reads and how it is computed: its encoder and its forward, by its family and its device."""

from __future__ import annotations

from typing import Any

from crossrank.errors import SettingsError
from crossrank.scoring.encoding import PromptEncoder, SpliceEncoder, Tokenizer, Truncation
from crossrank.scoring.forward import Forward, TransformersForward
from crossrank.scoring.packed import PackedForward, packable
from crossrank.scoring.prompts import PROMPT_OF_MODEL_TYPE


def encoder_of(
    model: str,
    config: dict[str, Any],
    tokenizer: Tokenizer,
    max_length: int,
    instruction: str | None,
    truncation: Truncation,
) -> SpliceEncoder | PromptEncoder:
    """The encoder of a model: with its family's prompt where it has one, else spliced.

    Refuses an instruction for a model without a prompt, and what the encoders refuse.
    """
    prompt = PROMPT_OF_MODEL_TYPE.get(config["model_type"])
    if prompt is not None:
        return PromptEncoder(tokenizer, max_length, prompt, instruction, truncation)
    if instruction is not None:
        raise SettingsError(f"{model} has no prompt, so an instruction has no place; leave --instruction out")
    return SpliceEncoder(tokenizer, max_length, model, truncation)


def forward_of(model: Any, hf_tokenizer: Any, *, trains: bool = False, recompute: bool = False) -> Forward:
    """The fastest forward that computes this model where it is.

    Args:
        trains: its weights will change, and gradients are wanted.
        recompute: layers are computed again for their gradients instead of being kept.
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
