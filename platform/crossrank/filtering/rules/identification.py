"""Identifies the language of a text by py3langid: offline, with the one model of 4.6 MB that it brings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@lru_cache(maxsize=64)
def probabilities(text: str) -> Mapping[str, float]:
    """The probability of each language that the model knows, the likeliest first."""
    return {code: float(probability) for code, probability in _identifier().rank(text)}


def identifier_version() -> str:
    """The identifier and its version, for the identity of a job: another model may give other flags."""
    from importlib.metadata import version

    return f"py3langid {version('py3langid')}"
