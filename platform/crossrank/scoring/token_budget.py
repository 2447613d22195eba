"""Token slots that one forward pass may hold, worked out from the device at load."""

from __future__ import annotations

from typing import Any

import torch

from crossrank.batching import Cost
from crossrank.derived import Derived

CPU_TOKENS = 2048
"""Slots on a CPU. Measured on 2 cores with MiniLM-L6: 2,048 slots score 1.25 times as fast as 8,192, because the
activations of a batch (tokens x 4 x width x 4 bytes in the feed-forward) then stay in the caches."""
GPU_TOKENS = 65_536
"""Slots on a GPU at most: beyond them it gains nothing, its matrix units being full."""
GPU_SHARE = 0.5
"""Share of the free memory that activations may take; fragmentation and other processes need the rest."""


def token_budget(config: Any, device: torch.device, cost: Cost, max_length: int) -> Derived[int]:
    """Token slots of a batch, never less than one full window, with the reason."""
    if device.type != "cuda":
        tokens = max(CPU_TOKENS, max_length)
        return Derived(tokens, f"{cost} batches on CPU: activations that fit the caches, at least one window")
    free_bytes, _ = torch.cuda.mem_get_info(device)
    hidden = config.hidden_size
    intermediate = getattr(config, "intermediate_size", 4 * hidden)
    # One layer's live activations: input, normed, query, key, value, context (6) and both sides of the
    # feed-forward, in at most 4 bytes.
    bytes_per_token = 4 * (6 * hidden + 2 * intermediate)
    fits = int(free_bytes * GPU_SHARE / bytes_per_token)
    tokens = max(min(fits, GPU_TOKENS), max_length)
    return Derived(tokens, f"GPU with {free_bytes / 2**30:.0f} GiB free at {bytes_per_token / 1024:.0f} KiB a token")
