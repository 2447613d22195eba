"""`html_entity`: a character written as HTML, such as ``&amp;`` or ``&#39;``, in the translation of plain text."""

from __future__ import annotations

import re
from html.entities import html5

from crossrank.filtering.rules.text_pair import TextPair

_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});", re.IGNORECASE)


def has_html_entity(pair: TextPair) -> bool:
    """Whether the translation has an entity and the source, which may be HTML itself, has none."""
    return _has_entity(pair.target_prose) and not _has_entity(pair.source)


def _has_entity(text: str) -> bool:
    return "&" in text and any(name[1] == "#" or name[1:] in html5 for name in _ENTITY.findall(text))
