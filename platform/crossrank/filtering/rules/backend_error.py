"""`backend_error`: the message of a program that failed, where its translation should be."""

from __future__ import annotations

import re

from crossrank.filtering.rules.text_pair import TextPair, normalized

_ALONE = (
    "err error errors failed failure none null nan na undefined timeout exception translationfailed translationerror "
    "failedtotranslate couldnottranslate unabletotranslate internalservererror"
)
ALONE = frozenset(_ALONE.split())
"""Words that a program writes for "nothing", when they are the whole text."""
MESSAGES = re.compile(
    r"an error occurred \("
    r"|traceback \(most recent call last\)"
    r"|\b(?:[a-z]{1,60}\.){0,6}[a-z]{1,60}(?:exception|error)\b"
    r"|\b[45]\d\d (?:bad|internal|service|gateway|too many|forbidden|unauthori[sz]ed|not found)"
    r"|<!doctype html|<html|</html>"
    r"|\{\s*[\"']error[\"']\s*:"
    r"|rate exceeded|too many requests|service unavailable|bad gateway|quota exceeded|access denied|request timed out"
    r"|translation failed|translation error|max retries"
)


def is_backend_error(pair: TextPair) -> bool:
    """Whether the translation says what an error says, and its source does not."""
    target, source = pair.target.casefold(), pair.source.casefold()
    alone = normalized(pair.target)
    if alone in ALONE:
        return alone != normalized(pair.source)
    return any(not _words(found.group()) <= _words(source) for found in MESSAGES.finditer(target))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
