"""Truncation of a model's pairs to the window, as it is saved with the model in ``config.json``:

    "crossrank": {"truncation": "longest_first", "max_length": 512}

A model that was trained on pairs cut one way scores best on pairs cut the same way, so the way travels with it.
"""

from __future__ import annotations

from typing import Any, get_args

from crossrank.errors import ModelRefused, quoted
from crossrank.scoring.encoding import Truncation

KEY = "crossrank"


def remember_truncation(config: Any, truncation: Truncation, max_length: int) -> None:
    """Note in a transformers config how training cut its pairs, for ``save_pretrained`` to write.

    What the base model's config said of it is replaced. `max_length` is for the record: loading takes its own.
    """
    setattr(config, KEY, {"truncation": truncation, "max_length": max_length})


def saved_truncation(config: dict[str, Any], model: str) -> Truncation:
    """Truncation that the content of a ``config.json`` names; where it names none, only documents are cut.

    Refuses a way of cutting that is not known.
    """
    saved = config.get(KEY)
    if saved is None:
        return "only_second"
    if not isinstance(saved, dict):
        raise ModelRefused(
            f"config.json of {model} has {quoted(saved)} under {KEY!r}, which is an object with the key truncation; "
            f"set it right or take it out"
        )
    name: Any = saved.get("truncation", "only_second")
    known = get_args(Truncation)
    if name not in known:
        raise ModelRefused(
            f"config.json of {model} has the truncation {quoted(name)}, and crossrank knows {' and '.join(known)}; "
            f"set it right or update crossrank"
        )
    truncation: Truncation = name
    return truncation
