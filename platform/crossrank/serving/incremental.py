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
"""What is tokenised in one step: a tenth of a second of one core."""
SEAM = re.compile(r"(?<=\S) (?=\S)")
"""A lone space between words. No tokenizer joins what is on both sides, so a text may be parted before it."""
SEAM_CHARACTERS = 1_000
"""Before the end of a step, among which a seam is looked for; a text without any may count a token more or less."""

Span = tuple[int, int]
"""From, to."""
Result = TypeVar("Result")
Item = TypeVar("Item")
Steps = Generator[None, None, Result]
"""Work that pauses between its steps, and returns its result."""


def all_of(steps: Steps[Result]) -> Result:
    """All steps at once."""
    while True:
        result = one_of(steps)
        if result is not None:
            return result


def one_of(steps: Steps[Result]) -> Result | None:
    """The next step; the result after the last one, None before."""
    try:
        next(steps)
    except StopIteration as end:
        result: Result = end.value
        return result
    return None


def in_steps(characters_C: NDArray[np.int64]) -> Iterator[Span]:
    """Documents from, to: those of a step have `STEP_CHARACTERS` together at most, unless it is one alone."""
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
        enough: of a text in several steps, do not go on once there are more tokens than this.
    """
    if len(texts) != 1 or len(texts[0]) <= STEP_CHARACTERS:
        return read(texts, 0)
    [text] = texts
    found: list[Item] = []
    start = 0
    while start < len(text) and (enough is None or len(found) <= enough):
        if start:
            yield
        end = _seam(text, start + STEP_CHARACTERS)
        found += read([text[start:end]], start)[0]
        start = end
    return [found]


def _seam(text: str, most: int) -> int:
    """Where to part a text: at the last seam before a place, or at that place."""
    if most >= len(text):
        return len(text)
    first = most - SEAM_CHARACTERS
    seams = [found.start() for found in SEAM.finditer(text[first : most + 1])]
    return first + seams[-1] if seams else most
