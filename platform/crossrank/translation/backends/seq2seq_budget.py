"""The number of source tokens that one batch may hold while it is translated."""

from __future__ import annotations

from typing import Any

import torch

from crossrank.derived import Derived

CPU_TOKENS = 2048
"""Source tokens of a batch on a CPU. Measured on 2 cores with the shape of a Marian: twice as many are 3 % faster, half
as many 20 % slower."""
GPU_TOKENS = 65_536
GPU_SHARE = 0.5
"""Part of the free memory that a batch may take; fragmentation and other processes need the rest."""
MOST_ROWS = 256
"""Rows of a batch: each has a logit for every word of the vocabulary, a megabyte of them for NLLB."""


def token_budget(model: Any, device: torch.device, longest: int, beams: int) -> Derived[int]:
    """Source tokens of a batch, padding included, never less than one source of the longest."""
    if device.type != "cuda":
        tokens, why = CPU_TOKENS, "on CPU: enough rows that each weight is read once for many"
    else:
        free_bytes, _ = torch.cuda.mem_get_info(device)
        tokens = min(int(free_bytes * GPU_SHARE / _bytes_per_token(model.config)), GPU_TOKENS)
        why = f"GPU with {free_bytes / 2**30:.0f} GiB free"
    if beams > 1:
        tokens, why = tokens // beams, f"{why}; shared by {beams} beams"
    return Derived(max(tokens, longest), why)


def row_length(length: int, budget: int) -> int:
    """The tokens that a row counts for in a batch: its own, or so many that a batch has at most `MOST_ROWS` rows."""
    return max(length, budget // MOST_ROWS)


def _bytes_per_token(config: Any) -> int:
    """Bytes of keys and values of one source token and two written ones in every layer, and of one layer's work."""
    hidden = config.hidden_size
    layers = getattr(config, "decoder_layers", None) or getattr(config, "num_decoder_layers", None) or 12
    width = getattr(config, "encoder_ffn_dim", None) or getattr(config, "d_ff", None) or 4 * hidden
    return int(4 * (3 * 2 * layers * hidden + 6 * hidden + 2 * width))
