"""Families of models: the encoder of a model, by its `model_type`."""

from __future__ import annotations

from typing import Any

from crossrank.errors import SettingsError
from crossrank.scoring.encoding import PromptEncoder, SpliceEncoder, Tokenizer, Truncation
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
