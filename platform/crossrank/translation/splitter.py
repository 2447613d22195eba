"""Cuts a text that is too long for one request into pieces at sentence ends, and joins their translations.

Nothing is lost: the pieces and what stands between them are the text again, and what stood between two pieces stands
between their translations.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

SENTENCE_END = re.compile(
    r"""[.!?…؟।]+["'”’»)\]]*(?=\s|\Z)     # European, Korean, Arabic and Hindi: a mark, then white space
      | [。！？｡．]+[」』”’）】〉》"')]*      # Chinese and Japanese: the mark alone
      | \S(?=[^\S\n]*\n)                  # the end of a line
    """,
    re.VERBOSE,
)
WHITE_SPACE = re.compile(r"\s+")
UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo", "dz")
"""Languages that write no space between sentences."""
AHEAD = 64
"""Characters beyond a piece that are looked at, for what follows its last sentence."""
JOINERS = ("\u200d", "\ufe0e", "\ufe0f")
"""Zero width joiner and variation selectors: a sign is not cut beside them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, and what stood between it and the next."""

    text: str
    after: str = ""
    ends_sentence: bool = False


def split(text: str, limit_bytes: int) -> list[Piece]:
    """Pieces of at most `limit_bytes` UTF-8 bytes, each as long as it may be.

    Cut at the last sentence end that fits, else at the last white space, else between two signs. Together, with what
    stood between them, they are `text`.
    """
    pieces: list[Piece] = []
    start = 0
    while len(text) - start > limit_bytes // 4 and len(rest := text[start:].encode()) > limit_bytes:
        most = start + len(rest[:limit_bytes].decode(errors="ignore"))
        if most == start:
            raise ValueError(f"a limit of {limit_bytes} bytes holds no sign of the text")
        end, ends_sentence = _sentence_end(text, start, most), True
        if end is None:
            end, ends_sentence = _word_end(text, start, most), False
        after = WHITE_SPACE.match(text, end)
        next_start = after.end() if after else end
        pieces.append(Piece(text[start:end], text[end:next_start], ends_sentence))
        start = next_start
    if start < len(text) or not pieces:
        pieces.append(Piece(text[start:]))
    return pieces


def join(pieces: Sequence[Piece], translations: Sequence[str], target: str) -> str:
    """The translation of a text from those of its pieces."""
    spaced = target.lower().split("-")[0] not in UNSPACED
    joined = []
    for piece, translation in zip(pieces, translations, strict=True):
        # Chinese sentences stand side by side, and those of most other languages do not.
        between = " " if spaced and piece.ends_sentence and not piece.after else piece.after
        joined += [translation, between]
    return "".join(joined[:-1])


def _sentence_end(text: str, start: int, most: int) -> int | None:
    found = None
    for match in SENTENCE_END.finditer(text, start, most + AHEAD):
        if match.end() > most:
            break
        found = match.end()
    return found


def _word_end(text: str, start: int, most: int) -> int:
    for end in range(most, start, -1):
        if text[end].isspace() and not text[end - 1].isspace():
            return end
    end = most
    while end > start + 1 and not _may_be_cut(text, end):
        end -= 1
    return end if _may_be_cut(text, end) else most


def _may_be_cut(text: str, end: int) -> bool:
    return not unicodedata.combining(text[end]) and text[end] not in JOINERS and text[end - 1] != JOINERS[0]
