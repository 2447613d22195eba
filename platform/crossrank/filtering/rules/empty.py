"""`empty`: no translation, or none with a letter or a digit in it."""

from __future__ import annotations

from crossrank.filtering.rules.text_pair import TextPair


def is_empty(pair: TextPair) -> bool:
    """Whether the translation has nothing to read, where the source has something."""
    if not pair.target.strip():
        return True
    return not _says_something(pair.target) and _says_something(pair.source)


def _says_something(text: str) -> bool:
    return any(c.isalnum() for c in text)
