"""`untranslated`: the source came back as it was, or most of it.

Names, code and numbers are the same in every language, so a copy of these is a translation. What would have had to
change is a text that identification takes for the source language and that is not mostly code.
"""

from __future__ import annotations

import re

from crossrank.filtering.rules.identification import probabilities
from crossrank.filtering.rules.text_pair import WORD, TextPair
from crossrank.filtering.rules.web import without_web

CODE_SHARE = 0.2
FEWEST_WORDS = 3
_CODE = re.compile(r"[a-z][A-Z]|[A-Z]{2}|[0-9_=<>{}\\|/()\[\];+*^~#@$%]|^--?\w|\w[.:]\w|::|^'.*'$|^\".*\"$")


def is_untranslated(pair: TextPair) -> bool:
    """Whether the translation is still in the source language, in the words of the source."""
    prose = pair.target_prose
    words = _translatable(without_web(pair.source))
    if len(words) < FEWEST_WORDS:
        return False
    if not pair.is_copy:
        left = {word.casefold() for word in WORD.findall(prose)}
        if sum(word in left for word in words) < pair.thresholds.kept_words * len(words):
            return False
    if is_code(pair.source):
        return False
    # Identification knows "of" better than "Of": names are written in capitals.
    likely = probabilities(prose.lower())
    return sum(likely.get(code, 0.0) for code in pair.source_language.and_relatives) >= (
        pair.thresholds.source_probability
    )


def is_code(text: str) -> bool:
    """Whether many of a text's words are written as in code, not in prose: camelCase, CAPITALS, digits, flags."""
    words = without_web(text).split()
    return bool(words) and sum(bool(_CODE.search(word)) for word in words) >= CODE_SHARE * len(words)


def _translatable(source: str) -> list[str]:
    """The words that are no names: those in lower case, and the first of a text that is no title."""
    words = WORD.findall(source)
    is_title = len(words) > 1 and not words[1][0].islower()
    return [word.casefold() for place, word in enumerate(words) if word[0].islower() or (place == 0 and not is_title)]
