"""`length_ratio`: far shorter than its source, so something is missing, or far longer, so something was made up."""

from __future__ import annotations

from crossrank.filtering.rules.language import Language
from crossrank.filtering.rules.text_pair import TextPair

SHORT, LONG = 0.4, 3.0
"""Factors of the expected length of a translation: English to Korean is 0.5 characters for one, so 0.2 to 1.5."""


def bounds(source: Language, target: Language) -> tuple[float, float]:
    """The fewest and the most characters of a translation, for one character of its source."""
    expected = target.characters / source.characters
    return SHORT * expected, LONG * expected


def has_wrong_length(pair: TextPair) -> bool:
    """Whether the translation's length is out of bounds.

    A few characters more or less say nothing: "no" is three syllables of Korean, and so much slack every text has.
    """
    limits = pair.thresholds
    low, high = bounds(pair.source_language, pair.target_language)
    low = low if limits.min_length_ratio is None else limits.min_length_ratio
    high = high if limits.max_length_ratio is None else limits.max_length_ratio
    source, target = len(pair.source.strip()), len(pair.target.strip())
    if not target:
        return False
    return target < low * (source - limits.length_slack) or target > high * source + limits.length_slack
