"""Embeddings of an encoder without a head, by which it ranks before it is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH_TEXTS = 32


def embedder(folder: Path, max_length: int, device: Any) -> Callable[[Sequence[str]], NDArray[np.float32]]:
    """A function from texts to rows of length 1: the mean of the last layer's tokens, as all-MiniLM-L6-v2 was trained.

    An encoder that was trained to be read by its first token ranks worse by this mean; it is a row to compare with.
    """
    import torch
    import torch.nn.functional as F
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False).to(device).eval()

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
        rows: list[Any] = [None] * len(texts)
        for start in range(0, len(order), BATCH_TEXTS):
            some = order[start : start + BATCH_TEXTS]
            batch = tokenizer(
                [texts[place] for place in some],
                truncation=True,
                max_length=max_length,
                padding=True,
                return_tensors="pt",
            ).to(device)
            hidden = model(**batch).last_hidden_state.float()
            mask = batch["attention_mask"].unsqueeze(-1)
            means = F.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)
            for place, row in zip(some, means.cpu().numpy(), strict=True):
                rows[place] = row
        return np.stack(rows)

    return embed
