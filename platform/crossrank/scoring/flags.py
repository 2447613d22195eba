"""The flags of every verb that scores: the window, the number format, the instruction."""

from __future__ import annotations

from typing import Any

from crossrank.config.settings import option


def max_length_flag(text: str = "Tokens of query, document and special tokens together.") -> Any:
    """``--max-length``."""
    return option(512, help=text, least=8)


def precision_flag(text: str = "Number format of the model; default fp32 on CPU and bf16 on GPU.") -> Any:
    """``--precision``; a field of the type `Precision` or None."""
    return option(None, help=text)


def instruction_flag(text: str = "Meaning of relevant, for models that read a prompt.") -> Any:
    """``--instruction``."""
    return option(None, help=text)
