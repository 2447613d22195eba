"""`mojibake`: text whose bytes were read in another encoding than they were written in."""

from __future__ import annotations

import re
import unicodedata

from crossrank.filtering.rules.text_pair import TextPair

BROKEN = frozenset(("Cn", "Co", "Cs"))
"""Unicode categories of code points that are no character: unassigned, private, half of a pair."""
_C1 = re.compile("[\u0080-\u0084\u0086-\u009f]")
"""The control characters of C1, which no text has; U+0085 is a line end."""


_LEAD = re.compile("[\u00c2-\u00ef][^\x00-\x7f]")
PICTURES = range(0x1F000, 0x1FC00)
"""Code points in which Unicode puts new emoji, which this Python may not know yet."""


def _is_no_character(character: str) -> bool:
    return unicodedata.category(character) in BROKEN and ord(character) not in PICTURES


def _windows_byte(character: str) -> int | None:
    """The byte that a program without UTF-8 would have shown as this character."""
    try:
        return character.encode("cp1252")[0]
    except UnicodeEncodeError:
        return ord(character) if ord(character) < 0x100 else None


def has_mojibake(pair: TextPair) -> bool:
    """Whether the translation holds broken characters, wherever they came from."""
    text = pair.target
    if text.isascii():
        return False
    if "\ufffd" in text or _C1.search(text):
        return True
    if any(_is_no_character(c) for c in set(text) if not c.isascii() and c not in pair.source):
        return True
    return _LEAD.search(text) is not None and _has_utf8_as_latin(text)


def _has_utf8_as_latin(text: str) -> bool:
    """Whether characters in a row are what UTF-8 looks like in Windows-1252, such as "Ã¼" for "ü"."""
    bytes_of = [None if c.isascii() else _windows_byte(c) for c in text]
    weak = 0
    for place, lead in enumerate(bytes_of):
        if lead is None or lead < 0xC2 or lead > 0xEF:
            continue
        size = 2 if lead < 0xE0 else 3
        tail = bytes_of[place + 1 : place + size]
        if len(tail) < size - 1 or not all(byte is not None and 0x80 <= byte <= 0xBF for byte in tail):
            continue
        try:
            bytes([lead, *(byte for byte in tail if byte is not None)]).decode()
        except UnicodeDecodeError:
            continue
        # Ã and Â before a sign, and â€: no language writes these. The rest may be a letter before a quotation mark,
        # and in French there is a no-break space (0xA0) between the two.
        if lead in (0xC2, 0xC3, 0xEF) or (lead, tail[0]) == (0xE2, 0x80):
            return True
        weak += 0xA0 not in tail
        if weak >= 2:
            return True
    return False
