"""Ids as single words, for files whose columns are separated by white space: TREC runs and judgements.

An id that every reader takes for one word is written as it is, so our files fit those of others. Any other, one that
has white space, a control character or a byte order mark, that is empty, or that begins with ``%%``, is written as
``%%`` and then itself with those characters, and ``%``, percent-encoded as UTF-8: ``a b`` is ``%%a%20b``. What is
written so is read back as it was. In Python: ``urllib.parse.unquote(word[2:])``.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

MARK = "%%"
"""Beginning of a word that is an encoded id and not the id itself."""

_NOT_IN_A_WORD = re.compile(r"[\s\x00-\x1f\x7f-\x9f\ufeff]")
"""White space of any reader: trec_eval knows the six characters of C, Python's ``split`` the 29 of Unicode."""
_ENCODED = re.compile(rf"{_NOT_IN_A_WORD.pattern}|%")


def word_of(identifier: str) -> str:
    """The id as one word."""
    if identifier and not identifier.startswith(MARK) and not _NOT_IN_A_WORD.search(identifier):
        return identifier
    return MARK + _ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), identifier)


def id_of(word: str) -> str:
    """The inverse of `word_of`. A word that it never makes is an id as it is."""
    if not word.startswith(MARK):
        return word
    try:
        found = unquote_to_bytes(word.removeprefix(MARK)).decode()
    except UnicodeDecodeError:
        return word
    return found if word_of(found) == word else word
