"""Work in steps: what takes long is tokenised part by part, so that others come between.

Shape letters: C documents of a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

STEP_CHARACTERS = 50_000
"""Characters that are tokenised in one step: a tenth of a second of one core."""
SEAM = re.compile(r"(?<=\S) (?=\S)")
"""A lone space between words. No tokenizer joins what is on both sides, so a text may be parted before it."""
SEAM_CHARACTERS = 1_000
"""Characters before the end of a step in which a seam is looked for; without one, a token more or less is counted."""

Span = tuple[int, int]
"""Positions from and to, the latter exclusive."""
Result = TypeVar("Result")
Item = TypeVar("Item")
Steps = Generator[None, None, Result]
"""Work that pauses between its steps, and returns its result."""


def all_of(steps: Steps[Result]) -> Result:
    """Take all steps at once, and return the result."""
    while True:
        result = one_of(steps)
        if result is not None:
            return result


def one_of(steps: Steps[Result]) -> Result | None:
    """Take the next step; returns the result after the last one, None before."""
    try:
        next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    return None


def in_steps(characters_C: NDArray[np.int64]) -> Iterator[Span]:
    """Spans of documents, one for each step: they have `STEP_CHARACTERS` together at most, unless it is one alone."""
    ends_C = np.cumsum(characters_C)
    start, before = 0, 0
    while start < len(ends_C):
        end = max(start + 1, int(np.searchsorted(ends_C, before + STEP_CHARACTERS, side="right")))
        yield start, end
        start, before = end, int(ends_C[end - 1])


def tokenised(
    texts: Sequence[str], read: Callable[[Sequence[str], int], list[list[Item]]], enough: int | None = None
) -> Steps[list[list[Item]]]:
    """The tokens of the texts of one step; a text that is more than a step has several.

    Args:
        read: the tokens of texts, given the number of characters before them.
        enough: tokens after which a text in several steps is not read on; None reads all of it.
    """
    if len(texts) != 1 or len(texts[0]) <= STEP_CHARACTERS:
        return read(texts, 0)
    [text] = texts
    tokens: list[Item] = []
    start = 0
    while start < len(text) and (enough is None or len(tokens) <= enough):
        if start:
            yield
        end = _seam(text, start + STEP_CHARACTERS)
        tokens += read([text[start:end]], start)[0]
        start = end
    return [tokens]


def _seam(text: str, most: int) -> int:
    """Position at which to part a text: the last seam before `most`, or `most` itself."""
    if most >= len(text):
        return len(text)
    first = most - SEAM_CHARACTERS
    seams = [seam.start() for seam in SEAM.finditer(text[first : most + 1])]
    return first + seams[-1] if seams else most
