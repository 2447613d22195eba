"""`repetition`: the loop of a model that could not stop. A repetition that the source has as often is no loop."""

from __future__ import annotations

import re
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.filtering.rules.text_pair import TextPair

LONGEST_PHRASE = 12
"""Words of the longest phrase that is looked for."""
FEWER_REPEATS_FROM = 3
"""Words from which a phrase is a loop one repetition earlier."""
COMPRESSED_FROM_BYTES = 300
SHORTEST_PIECE, LONGEST_PIECE = 2, 16
"""Characters of the pieces that are looked for in languages without spaces."""
PIECE_REPEATS = 6
_RUN = re.compile(r"(\S)\1{3,}")
_PARTS = re.compile(r"\w+|[^\w\s]")


def is_repetition(pair: TextPair) -> bool:
    """Whether a character, a phrase or the whole translation repeats itself, and the source does not."""
    limits = pair.thresholds
    if _longest_run(pair.target) >= max(limits.character_run, 2 * _longest_run(pair.source)):
        return True
    repeats = _repeats(pair.target)
    if repeats >= limits.repeats and repeats >= limits.repeats + _repeats(pair.source) - 2:
        return True
    return _compresses_too_well(pair)


def _longest_run(text: str) -> int:
    return max((len(found.group()) for found in _RUN.finditer(text)), default=1)


def _repeats(text: str) -> int:
    """Repetitions in a row of the most repeated phrase, 1 where none repeats; a longer phrase counts once more."""
    most = 1
    numbers: dict[str, int] = {}
    words_W = np.array([numbers.setdefault(word.casefold(), len(numbers)) for word in _PARTS.findall(text)])
    for size in range(1, min(LONGEST_PHRASE, len(words_W) // 2) + 1):
        again = _longest_echo(words_W, size) // size
        if again:
            most = max(most, again + 1 + (size >= FEWER_REPEATS_FROM))
    letters_L = np.frombuffer("".join(text.split()).encode("utf-32-le"), dtype=np.uint32)
    for size in range(SHORTEST_PIECE, min(LONGEST_PIECE, len(letters_L) // PIECE_REPEATS) + 1):
        again = _longest_echo(letters_L, size) // size
        if again + 1 >= PIECE_REPEATS:
            most = max(most, again + 1)
    return most


def _longest_echo(values: NDArray[Any], size: int) -> int:
    """The most values in a row that equal the one `size` places before them."""
    differs = np.flatnonzero(values[size:] != values[:-size])
    edges = np.concatenate(([-1], differs, [len(values) - size]))
    return int(np.diff(edges).max()) - 1


def _compresses_too_well(pair: TextPair) -> bool:
    target = pair.target.encode()
    if len(target) < COMPRESSED_FROM_BYTES:
        return False
    source = pair.source.encode()
    share = len(zlib.compress(target)) / len(target)
    return share < pair.thresholds.compressed_share * min(1.0, len(zlib.compress(source)) / max(len(source), 1))
