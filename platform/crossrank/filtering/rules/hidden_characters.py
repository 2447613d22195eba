"""`hidden_characters`: zero-width characters and those that turn the direction of writing, which no reader sees.

Some are at home: joiners in emoji and in Persian and Indic scripts, breaks between Thai words, marks of direction in
Arabic and Hebrew. What the source has too came from there.
"""

from __future__ import annotations

import re

from crossrank.filtering.rules.text_pair import TextPair

JOINERS = "\u200c\u200d"
BREAKS = "\u200b\u2060"
DIRECTIONS = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
BLANKS = "\ufeff\u180e\u3164\u115f\u1160\uffa0"
"""A byte order mark within a text, and letters of Hangul that are nothing."""
_HIDDEN = re.compile(f"[{JOINERS}{BREAKS}{DIRECTIONS}{BLANKS}]")
_EMOJI = re.compile("[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])")
_AT_HOME = {
    JOINERS: {
        "ARABIC",
        "DEVANAGARI",
        "BENGALI",
        "GUJARATI",
        "GURMUKHI",
        "KANNADA",
        "MALAYALAM",
        "TAMIL",
        "TELUGU",
        "SINHALA",
    },
    BREAKS: {"THAI", "KHMER", "LAO", "MYANMAR"},
    DIRECTIONS: {"ARABIC", "HEBREW"},
}


def has_hidden_characters(pair: TextPair) -> bool:
    """Whether the translation has hidden characters that neither its source nor its language brings along."""
    if pair.target.isascii():
        return False
    found = set(_HIDDEN.findall(_EMOJI.sub("", pair.target))) - set(pair.source)
    for characters, scripts in _AT_HOME.items():
        if not scripts.isdisjoint(pair.scripts):
            found -= set(characters)
    return bool(found)
