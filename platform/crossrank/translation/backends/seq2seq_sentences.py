"""A text cut into single sentences, which is what translation models were trained on.

`translation.splitter` makes pieces as long as they may be, so a cut after "Dr." costs it little; this file makes every
sentence a piece of its own. No character is lost: pieces and what stands between them, one after the other, are the
text.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from crossrank.translation.splitter import Piece

_END = re.compile(
    r"""
    [.!?…]+ ["'”’»)\]]* (?=\s)      # an end of Latin, Cyrillic or Korean writing, its closing quotes with it
    | [。！？｡]+ ["'”’」』）]*          # Chinese and Japanese put no space after theirs
    | [।۔؟။]+                        # Hindi, Urdu and Arabic, Burmese
    | (?=\n)                         # a line is a sentence of its own
    """,
    re.VERBOSE,
)
_ABBREVIATION = re.compile(
    r"""(?:^|[\s("'“])(?:
        [A-Za-z](?:\.[A-Za-z])*                                          # J. K. Rowling, U.S., e.g., z.B.
        | Mr | Mrs | Ms | Dr | Prof | St | Sr | Jr | vs | etc | No | Nr | Fig | Vol | pp | approx | cf | al | Inc
        | Co | Corp | Ltd | dept | est | Gen | Col | Lt | Capt | Sgt | Rev | Hon | Mt | Ave | Blvd | ca | bzw | ggf
        | Jan | Feb | Mar | Apr | Jun | Jul | Aug | Sep | Sept | Oct | Nov | Dec
    )\.$""",
    re.VERBOSE,
)
_WHITE = re.compile(r"\s*")
_CLAUSE = re.compile(r"[,;:、，；：]\s*|\s+")


def has_words(text: str) -> bool:
    """Whether a text has a letter. Digits and signs alone are the same in every language."""
    return any(character.isalpha() for character in text)


def sentences(text: str) -> list[Piece]:
    """The sentences of a text, in order.

    A full stop ends one where white space follows and then anything but a lower-case letter, save after an
    abbreviation. Too few cuts cost speed and too many cost sense, so what is in doubt is not cut.
    """
    start = _WHITE.match(text).end()  # type: ignore[union-attr]
    pieces = [Piece("", text[:start])] if start else []
    for match in _END.finditer(text):
        end = match.end()
        following = _WHITE.match(text, end).end()  # type: ignore[union-attr]
        if end <= start or _goes_on(text, end, following):
            continue
        pieces.append(_piece(text, start, end, following, ends_sentence=True))
        start = following
    if start < len(text):
        pieces.append(_piece(text, start, len(text), len(text)))
    return pieces


def shortened(piece: Piece, fits: Callable[[str], bool]) -> list[Piece] | None:
    """A sentence that is too long for the model, cut after commas and words; None where it has no such place.

    Each part is as long as `fits` allows, and ends after a comma or its like if there is one in its second half.
    """
    places = [match.span() for match in _CLAUSE.finditer(piece.text)]
    parts: list[Piece] = []
    start = 0
    while not fits(piece.text[start:]):
        ahead = [(begin, end) for begin, end in places if begin > start and end < len(piece.text)]
        taken = _most(ahead, lambda end, start=start: fits(piece.text[start:end].rstrip()))  # type: ignore[misc]
        if not taken:
            return None
        end = _preferred(piece.text, start, ahead[:taken])
        parts.append(_piece(piece.text, start, end, end))
        start = end
    return [*parts, Piece(piece.text[start:], piece.after, piece.ends_sentence)]


def _goes_on(text: str, end: int, following: int) -> bool:
    """Whether the sentence goes on after what might have been its end."""
    if text[:end].rstrip("\"'”’»)]")[-1:] not in (".", "…") or "\n" in text[end:following]:
        return False
    return text[following : following + 1].islower() or _ABBREVIATION.search(text[max(0, end - 24) : end]) is not None


def _piece(text: str, start: int, end: int, following: int, *, ends_sentence: bool = False) -> Piece:
    kept = text[start:end].rstrip()
    return Piece(kept, text[start + len(kept) : following], ends_sentence)


def _most(places: list[tuple[int, int]], fits: Callable[[int], bool]) -> int:
    """The number of places, from the first on, that a part can reach. Longer texts have more tokens, so it halves."""
    low, high = 0, len(places)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(places[middle - 1][1]):
            low = middle
        else:
            high = middle - 1
    return low


def _preferred(text: str, start: int, reached: list[tuple[int, int]]) -> int:
    furthest = reached[-1][1]
    for begin, end in reversed(reached):
        if end - start < (furthest - start) / 2:
            break
        if not text[begin].isspace():
            return end
    return furthest
