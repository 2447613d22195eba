"""A text and its translation, with the properties that several rules read, computed once."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

from crossrank.filtering.rules.language import Language
from crossrank.filtering.rules.thresholds import Thresholds
from crossrank.filtering.rules.web import without_web

WORD = re.compile(r"[^\W\d_]+")
"""A run of letters."""


@lru_cache(maxsize=1 << 15)
def script_of(letter: str) -> str:
    """The script of a letter, such as ``HANGUL``: the first word of its name in Unicode."""
    return unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "UNKNOWN").split()[0]


def scripts_of(text: str) -> dict[str, int]:
    """Number of letters of each script in a text."""
    counts: dict[str, int] = {}
    for letter, count in Counter(text).items():
        if letter.isalpha():
            script = script_of(letter)
            counts[script] = counts.get(script, 0) + count
    return counts


def normalized(text: str) -> str:
    """A text without case, width, punctuation and white space, by which two texts are compared."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


@dataclass(frozen=True)
class TextPair:
    """A text in the source language and its translation."""

    source: str
    target: str
    source_language: Language
    target_language: Language
    thresholds: Thresholds

    @cached_property
    def is_copy(self) -> bool:
        """Whether the translation is the source itself."""
        return normalized(self.source) == normalized(self.target)

    @cached_property
    def target_prose(self) -> str:
        """The translation without URLs and addresses, which are in no language."""
        return without_web(self.target)

    @cached_property
    def source_words(self) -> frozenset[str]:
        """Every run of letters of the source, folded."""
        return frozenset(word.casefold() for word in WORD.findall(unicodedata.normalize("NFKC", self.source)))

    @cached_property
    def scripts(self) -> dict[str, int]:
        """Number of letters of each script in the translation."""
        return scripts_of(self.target_prose)

    @cached_property
    def new_scripts(self) -> dict[str, int]:
        """Number of letters of each script in the words that the source does not have: no names, code, units."""
        counts: dict[str, int] = {}
        for word in WORD.findall(self.target_prose):
            for part, script in _by_script(word):
                if part not in self.source_words:
                    counts[script] = counts.get(script, 0) + len(part)
        return counts

    @cached_property
    def num_letters(self) -> int:
        """Letters of the translation, outside URLs and addresses."""
        return sum(self.scripts.values())


@lru_cache(maxsize=1 << 15)
def _by_script(word: str) -> tuple[tuple[str, str], ...]:
    """A word cut where its script changes, folded, with the scripts: a Korean particle follows a name directly."""
    parts: list[tuple[str, str]] = []
    for letter in word:
        script = script_of(letter)
        if parts and parts[-1][1] == script:
            parts[-1] = (parts[-1][0] + letter, script)
        else:
            parts.append((letter, script))
    return tuple((part.casefold(), script) for part, script in parts)
