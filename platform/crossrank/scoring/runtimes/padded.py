"""Forward of any model on any device: as transformers wrote it, on a padded batch.

`PackedForward` (packed.py) is faster for the BERT family on a CPU. Both give equal scores, which tests hold them to.

Shape letters: B pairs of a batch, T tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossrank.batching import Cost


class TransformersForward:
    """The model as transformers wrote it, on a padded batch."""

    cost: Cost = "padded"
    name = "transformers"

    def __init__(self, model: Any, pad_token_id: int) -> None:
        self._model = model
        self._pad_token_id = pad_token_id
        vocabulary = getattr(model.config, "type_vocab_size", 0) or 0
        self._takes_types = vocabulary > 1

    @torch.inference_mode()
    def __call__(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> Tensor:
        return self.logits(ids_B, first_B)

    def logits(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> Tensor:
        """Logits as a call gives them, with gradients where they are wanted."""
        lengths_B = np.array([len(ids) for ids in ids_B])
        width = int(lengths_B.max())
        ids_BT = np.full((len(ids_B), width), self._pad_token_id, dtype=np.int64)
        for row, ids in zip(ids_BT, ids_B, strict=True):
            row[: len(ids)] = ids
        positions_T = np.arange(width)
        mask_BT = positions_T < lengths_B[:, None]
        inputs = {"input_ids": self._to_device(ids_BT), "attention_mask": self._to_device(mask_BT.astype(np.int64))}
        if self._takes_types:
            types_BT = mask_BT & (positions_T >= first_B[:, None])
            inputs["token_type_ids"] = self._to_device(types_BT.astype(np.int64))
        logits_B1: Tensor = self._model(**inputs).logits
        return logits_B1[:, 0].float()

    def _to_device(self, values: NDArray[np.int64]) -> Tensor:
        device = self._model.device
        if device.type != "cuda":
            return torch.from_numpy(values)
        # Pinned memory lets the copy run while the device still computes the batch before.
        return torch.from_numpy(values).pin_memory().to(device, non_blocking=True)
