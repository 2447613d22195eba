"""Refusal of an argument that a method does not have, with the one that is meant: peers' names, and misspellings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import ParamSpec, TypeVar

from crossrank.config.nearest import NAMES_OF_PEERS, nearest, ours, unneeded
from crossrank.errors import SettingsError

P = ParamSpec("P")
R = TypeVar("R")

ARGUMENTS_OF_PEERS: dict[str, tuple[str, ...]] = {
    **NAMES_OF_PEERS,
    **dict.fromkeys(("limit", "num_documents"), ("top_n",)),
    **dict.fromkeys(("corpus", "docs", "passages", "texts"), ("documents",)),
    **dict.fromkeys(("inputs", "sentence_pairs", "sentences"), ("pairs",)),
    **dict.fromkeys(("activation_fct", "apply_softmax"), ("normalize",)),
    **dict.fromkeys(("progress", "progress_bar", "show_progress_bar", "verbose"), ("show_progress",)),
    **dict.fromkeys(("devices", "gpu", "use_gpu"), ("device",)),
    **dict.fromkeys(("bf16", "fp16", "half", "precision", "torch_dtype", "use_bf16", "use_fp16"), ("dtype",)),
    **dict.fromkeys(("batch_size", "max_batch_size"), ("budget",)),
}
"""Arguments of `Reranker` by their names in sentence-transformers, FlagEmbedding, rerankers and transformers."""

ADVICE = {
    "batch_size": "batches are cut by tokens, for which Reranker.load takes budget",
    "convert_to_numpy": "scores are a numpy array always",
    "convert_to_tensor": "scores are a numpy array; torch.from_numpy makes a tensor of it",
    "doc_ids": "an id stands beside its text, as in {'id': ..., 'text': ...}",
    "ids": "an id stands beside its text, as in {'id': ..., 'text': ...}",
    "return_documents": "the text is in every result",
}
"""Advice on what to do instead, where no argument of the method is meant."""


def names_arguments(method: Callable[P, R]) -> Callable[P, R]:
    """Let a method refuse an argument that it does not have with a `SettingsError` that names the right one."""
    parameters = inspect.signature(method).parameters
    known = [name for name in parameters if name not in ("self", "cls")]

    @wraps(method)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in parameters:
                raise SettingsError(f"{method.__name__} has no argument {name}; {_way_out(name, known)}")
        return method(*args, **kwargs)

    return checked


def _way_out(name: str, known: Collection[str]) -> str:
    if meant := ours(name, known, ARGUMENTS_OF_PEERS):
        return f"write {meant}"
    if advice := ADVICE.get(name) or unneeded(name):
        return advice
    if near := nearest(name, known):
        return f"write {near}"
    return f"it takes {', '.join(known)}"
