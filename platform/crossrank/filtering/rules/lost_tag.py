"""`lost_tag`: markup of the source, such as ``<b>``, that the translation does not have, opened or closed."""

from __future__ import annotations

import re
import unicodedata

from crossrank.filtering.rules.text_pair import TextPair

_NAMES = (
    "a|b|i|u|s|p|br|hr|em|strong|mark|small|big|del|ins|span|div|font|code|pre|kbd|tt|q|cite|blockquote|ul|ol|li|dl|dt|dd"
    "|h[1-6]|table|thead|tbody|tr|td|th|img|label|button|section|article|center|x|g|ph"
)
"""Tags that have to be kept; not sub and sup, as other languages have words for CO<sub>2</sub>."""
_VALUE = r"(?:\"[^\"<>]{0,300}\"|'[^'<>]{0,300}'|[^\s\"'<>]{1,300})"
_TAG = re.compile(
    rf"<\s?(/?)\s?({_NAMES})\s?(?:/?>|(?:\s[a-z-]{{1,30}}\s?=\s?{_VALUE}){{1,9}}\s?/?>)",
    re.IGNORECASE,
)


def has_lost_tag(pair: TextPair) -> bool:
    """Whether all tags of one kind are gone. A text about HTML may name a tag without its brackets."""
    if "<" not in pair.source:
        return False
    target = unicodedata.normalize("NFKC", pair.target)
    lost = tags_of(pair.source) - tags_of(target)
    if not lost:
        return False
    words = set(re.findall(r"[a-z][a-z0-9]*", _TAG.sub(" ", target).casefold()))
    return any(name not in words for _, name in lost)


def tags_of(text: str) -> set[tuple[str, str]]:
    """The kinds of tags in a text: ``/`` for one that closes, and the name in small letters."""
    return {(closing, name.casefold()) for closing, name in _TAG.findall(text)}
