"""Tests of whether two texts are the same passage: exactly, in another spelling, or lightly edited.

A corpus that was put together from several sources holds a passage more than once, under other ids. Whoever takes
such a copy of the right passage for a negative teaches the opposite of what is true.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from hashlib import blake2b

NOT_A_LETTER = re.compile(r"[\W_]+")
SHINGLE = 5
"""Characters of a shingle. Characters and not words, so that a Korean particle costs a few shingles and not a word."""
LEAST_SHINGLES = 40
"""A text with fewer is too short to say that another one contains it."""


def normalised(text: str) -> str:
    """The letters and digits of a text alone, caseless: the part that a new layout does not change.

    NFKC and casefold; white space, punctuation and signs are gone. Two texts that differ in these only are equal.
    """
    return NOT_A_LETTER.sub("", unicodedata.normalize("NFKC", text).casefold())


def text_hash(text: str) -> int:
    """63 bits of hash of the normalised text; 0 for a text without a letter or digit, which is like no other."""
    letters = normalised(text)
    if not letters:
        return 0
    return (int.from_bytes(blake2b(letters.encode(), digest_size=8).digest(), "little") >> 1) or 1


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The parts of a text that are compared with another's."""

    letters: str
    """The normalised text."""
    shingles: frozenset[str]
    """All runs of `SHINGLE` characters of the normalised text; the whole of it where it is shorter."""

    @classmethod
    def of(cls, text: str) -> Fingerprint:
        letters = normalised(text)
        last = max(len(letters) - SHINGLE + 1, 1)
        return cls(letters, frozenset(letters[start : start + SHINGLE] for start in range(last)) if letters else NONE)


NONE: frozenset[str] = frozenset()


def jaccard(one: Fingerprint, other: Fingerprint) -> float:
    """Shingles that both have, over those that either has; 0 where one has none.

    The share is exact, and not estimated by MinHash: a text is compared with a few others, not with all.

    Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997 (resemblance).
    """
    shared = len(one.shingles & other.shingles)
    return shared / (len(one.shingles) + len(other.shingles) - shared) if shared else 0.0


def containment(one: Fingerprint, other: Fingerprint) -> float:
    """Share of the shorter text's shingles that the longer one has; 0 where the shorter one is too short to say.

    A passage that was cut in two, or that lost its title, is alike by this and not by `jaccard`.

    Source: Broder, On the resemblance and containment of documents, SEQUENCES 1997 (containment).
    """
    least = min(len(one.shingles), len(other.shingles))
    return len(one.shingles & other.shingles) / least if least >= LEAST_SHINGLES else 0.0
