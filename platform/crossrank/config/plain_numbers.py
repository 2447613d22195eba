"""Numbers in what people type and in text files, in ASCII digits and nothing between them.

Python reads more: 1_0 as 10, which is often a slip of the finger, and digits of other scripts, such as １０.
"""

from __future__ import annotations


def plain_float(text: str) -> float:
    """The number that a text writes. `ValueError` where it writes none, or not so."""
    return float(_plain(text))


def plain_whole(text: str) -> int:
    """The whole number that a text writes. `ValueError` where it writes none, or not so."""
    return int(_plain(text))


def _plain(text: str) -> str:
    if not text.isascii() or "_" in text:
        raise ValueError(f"{text!r} is not written in plain digits")
    return text
