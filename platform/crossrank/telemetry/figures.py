"""Figures in words: numbers with commas, counts by reason, and nothing as Python would print it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def counted(counts: Mapping[str, int]) -> str:
    """Counts with what was counted, such as ``3 malformed, 1 empty_query``; ``none`` where nothing was."""
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items()) if count) or "none"


def in_words(value: Any) -> str:
    """A figure of a plan or of a manifest, in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if 0 < abs(value) < 1e-4:
            return f"{value:g}"
        return f"{value:,.{2 if abs(value) >= 100 else 4}f}".rstrip("0").rstrip(".")
    if isinstance(value, Mapping):
        known = {name: each for name, each in value.items() if each not in ({}, [], None)}
        if all(isinstance(each, int) for each in known.values()):
            return counted(known)
        return ", ".join(f"{name} {in_words(each)}" for name, each in known.items()) or "none"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(in_words, value)) or "none"
    return str(value)
