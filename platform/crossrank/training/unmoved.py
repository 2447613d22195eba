"""Weights that the loss cannot move: their gradient is 0 but for rounding, and AdamW makes whole steps of that.

Left to train, they walk at the full learning rate, in another direction on every machine.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from crossrank.scoring.float32_head import head_modules
from crossrank.scoring.loading import ModelFolder

PLAIN_ATTENTION = {"bert", "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "electra"}
"""Model types that compute softmax(q k) with positions in the embeddings alone. Elsewhere a key is turned by its
position (rotary), or met by queries of positions (DeBERTa), and its bias counts."""


def unmoved(model: Any, moves_level: bool) -> set[str]:
    """Names of the weights that training cannot move.

    A bias of all keys adds the same to every logit of a query's attention, and the softmax takes it away again. The
    bias of the last layer adds the same to every score, and a loss over differences in a group takes it away.

    Args:
        moves_level: whether the loss changes when all scores rise alike, as in `Objective.level_terms`.
    """
    names = set()
    if model.config.model_type in PLAIN_ATTENTION:
        for name, module in model.base_model.named_modules(prefix=model.base_model_prefix):
            key = getattr(module, "key", None)
            if isinstance(key, nn.Linear) and key.bias is not None and hasattr(module, "query"):
                names.add(f"{name}.key.bias")
    level = level_bias(model)
    return names if moves_level or level is None else {*names, level}


def level_bias_of(folder: ModelFolder) -> str | None:
    """Name of the level bias, as of `level_bias`, in the model that training makes of a base; no weights are loaded."""
    try:
        config = AutoConfig.from_pretrained(folder.path, trust_remote_code=False, num_labels=1)
        with torch.device("meta"):
            return level_bias(AutoModelForSequenceClassification.from_config(config, trust_remote_code=False))
    except (OSError, ValueError):
        return None  # loading it refuses it, with a sentence


def level_bias(model: Any) -> str | None:
    """Name of the bias that raises all scores alike: that of the last layer. None where it has none, as in Qwen3."""
    heads = {id(module) for head in head_modules(model) for module in head.modules()}
    last = [
        (name, module)
        for name, module in model.named_modules()
        if id(module) in heads and isinstance(module, nn.Linear) and module.out_features == 1
    ]
    return f"{last[-1][0]}.bias" if last and last[-1][1].bias is not None else None
