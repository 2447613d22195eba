"""What sentence-transformers keeps beside an encoder says of how it is read, and so of what was never part of it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from crossrank import storage
from crossrank.errors import ModelRefused
from crossrank.scoring.loading import ModelFolder, has_head

POOLING = "1_Pooling/config.json"
"""Where the configuration of the pooling lies unless ``modules.json`` says otherwise."""


def read_beside(folder: ModelFolder, name: str) -> Any:
    """A JSON file of a model's folder; None where there is none."""
    path = folder.path / name
    content: str | bytes
    if path.exists():
        content = path.read_text(encoding="utf-8")
    elif storage.is_s3(folder.name) and storage.exists(storage.join(folder.name, name)):
        content = storage.read_bytes(storage.join(folder.name, name))  # of subfolders nothing is fetched
    else:
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise ModelRefused(f"{folder.name}/{name} is not JSON ({error}); fetch the model again") from error


def reads_tokens(folder: ModelFolder) -> bool:
    """Whether an encoder says that it is read by the vectors of its tokens, and by nothing behind its backbone.

    Every pooling of sentence-transformers is of that kind, be it the mean, the maximum, the first token (``cls``) or
    the last: it is laid over the last hidden layer. A BERT's pooler, or the head that a masked language model had, may
    still be in the files. It was not trained with the encoder, and often is random.
    """
    modules = read_beside(folder, "modules.json") or []
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules if isinstance(module, dict)}
    return "Pooling" in kinds or read_beside(folder, POOLING) is not None


def in_head(name: str, prefix: str) -> bool:
    """Whether a weight lies behind the backbone, whose names begin with `prefix`; a pooler does."""
    return not name.startswith(f"{prefix}.") or name.startswith(f"{prefix}.pooler.")


def renew_unread_head(
    folder: ModelFolder, config: dict[str, Any], model: Any, made: Collection[str], seed: int
) -> list[str]:
    """Draw anew what lies behind an encoder's backbone and was never read, the same for the same seed.

    Args:
        made: names of the weights that were drawn already, since the files lack them.

    Returns:
        Names of the weights that were drawn now.
    """
    import torch
    from torch import nn

    if has_head(config) or not reads_tokens(folder):
        return []
    prefix = model.base_model_prefix
    stale = {name for name, _ in model.named_parameters() if in_head(name, prefix)} - set(made)
    torch.manual_seed(seed)
    for name, module in model.named_modules():
        own = {f"{name}.{each}" for each, _ in module.named_parameters(recurse=False)}
        if own and own <= stale:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, getattr(model.config, "initializer_range", 0.02))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            else:
                module.reset_parameters()
    return sorted(stale)
