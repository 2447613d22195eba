"""`lost_placeholder`: a placeholder, ``{name}``, ``{{x}}``, ``${x}`` or ``%s``, that is gone or translated.

Names in braces have to be kept as they are, however often; of those without a name, ``%s`` and ``{}``, as many.
"""

from __future__ import annotations

import re
from collections import Counter

from crossrank.filtering.rules.text_pair import TextPair
from crossrank.filtering.rules.web import without_web

_LATEX = re.compile(r"\\[A-Za-z]{1,30}(?:\{[^{}]{0,80}\}){1,4}")
"""A LaTeX command, whose braces hold words to be translated."""
_NAMED = re.compile(
    r"\{\{[^{}\n]{1,60}\}\}"
    r"|\$\{[^{}\n]{1,60}\}"
    r"|(?<![\w\\}^])\{(?:[A-Za-z_][A-Za-z0-9_.]{0,40}|\d{1,2})(?::[^{}\s]{0,12})?\}"
    r"|%\([A-Za-z0-9_]{1,40}\)[sdifr]|%\d\$[sdif@]"
)
_COUNTED = re.compile(r"(?<![\w\\}^{])\{\}|(?<![\d%])%(?:\.\d)?(?:[sdif](?![A-Za-z0-9_])|@)")
"""Placeholders without a name. A percentage has a digit before it; a Korean particle may follow without a space."""


def has_lost_placeholder(pair: TextPair) -> bool:
    """Whether a placeholder of the source is not in the translation as it was."""
    if "{" not in pair.source and "%" not in pair.source:
        return False
    source = without_web(_LATEX.sub(" ", pair.source))
    if any(name not in pair.target for name in _NAMED.findall(source)):
        return True
    wanted, there = (Counter(_COUNTED.findall(text)) for text in (source, pair.target))
    return any(there[name] < count for name, count in wanted.items())
