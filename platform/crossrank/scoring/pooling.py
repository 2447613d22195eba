"""Pooling of an encoder, from the files that sentence-transformers keeps beside it, and what it makes of the head."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.errors import ModelRefused
from crossrank.scoring.loading import ModelFolder, has_head

POOLING = "1_Pooling/config.json"
"""Path of the pooling's configuration unless ``modules.json`` names another."""
POOLING_OF_HEADS = {"modernbert": {"mean": "mean", "cls": "cls"}, "eurobert": {"mean": "mean", "cls": "bos"}}
"""Values of ``classifier_pooling`` by the pooling of an encoder, for each `model_type` whose head goes by it. Heads of
others read one token, whatever the encoder is read by."""


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
    return "Pooling" in modules_of(folder) or read_beside(folder, POOLING) is not None


def modules_of(folder: ModelFolder) -> dict[str, str]:
    """Folders of the layers that sentence-transformers lays over each other, by their kind, such as ``Pooling``."""
    modules = read_beside(folder, "modules.json") or []
    return {
        str(module.get("type", "")).rsplit(".", 1)[-1]: str(module.get("path", ""))
        for module in modules
        if isinstance(module, dict)
    }


def pooling_of(folder: ModelFolder) -> str | None:
    """Pooling by which an encoder's tokens become one vector: ``mean``, ``cls``, ``max``; several are joined by ``+``.

    Older files have a key for each, newer ones one key. None where no file says it.
    """
    place = modules_of(folder).get("Pooling")
    config = read_beside(folder, f"{place}/config.json" if place else POOLING) or {}
    prefix = "pooling_mode_"
    old = [name.removeprefix(prefix) for name, on in config.items() if name.startswith(prefix) and on is True]
    modes = config.get("pooling_mode") or old
    return "+".join(map(_short, [modes] if isinstance(modes, str) else modes)) or None


def _short(mode: str) -> str:
    return mode.removesuffix("_tokens").removesuffix("_token")


def head_reads(folder: ModelFolder, config: dict[str, Any]) -> dict[str, str]:
    """Settings that let a fresh head read the tokens as the encoder is read; none where no file says how, or it cannot.

    Args:
        config: configuration of the base.
    """
    ways = POOLING_OF_HEADS.get(config["model_type"], {})
    mode = pooling_of(folder) if ways and not has_head(config) else None
    return {"classifier_pooling": ways[mode]} if mode in ways else {}


def clause_about_head(folder: ModelFolder, config: dict[str, Any]) -> str:
    """Clause of a sentence about how the fresh head of a base reads the tokens; empty where its family has one way."""
    if config["model_type"] not in POOLING_OF_HEADS:
        return ""
    mode = pooling_of(folder)
    if head_reads(folder, config):
        return f", which reads the tokens as the encoder is read ({mode})"
    if mode is None:
        return ""
    return f", which cannot read the tokens as the encoder is read ({mode}): it takes what config.json says"


def read_on_as(model: Any, checkpoint: Path) -> None:
    """Let the head of a model read as that of a checkpoint does, whose run may have begun under an earlier version."""
    if hasattr(model.config, "classifier_pooling"):
        reads = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))["classifier_pooling"]
        for holder in (model.config, model):  # EuroBERT reads a copy
            if hasattr(holder, "classifier_pooling"):
                holder.classifier_pooling = reads


def in_head(name: str, prefix: str) -> bool:
    """Whether a weight lies behind the backbone, whose names begin with `prefix`; a pooler does."""
    return not name.startswith(f"{prefix}.") or name.startswith(f"{prefix}.pooler.")


def renew_unread_head(
    folder: ModelFolder, config: dict[str, Any], model: Any, made: Collection[str], seed: int
) -> list[str]:
    """Draw anew what lies behind an encoder's backbone and was never read, the same for the same seed.

    Args:
        made: names of weights that were drawn already, since the files lack them.

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
        own = {f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False)}
        if own and own <= stale:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.0, getattr(model.config, "initializer_range", 0.02))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            else:
                module.reset_parameters()
    return sorted(stale)
