"""The original texts of a translated group: kept in `meta`, so that filters can compare and nothing is lost.

group.meta["origin"] = {"lang": "en", "query": "..."}
doc.meta["origin"] = {"title": ..., "text": ...}
"""

from __future__ import annotations

from crossrank.records import Candidate, Group, Json, document_text

ORIGIN = "origin"


def origin_of_query(group: Group) -> str | None:
    """The query before it was translated; None where the group was not."""
    found = _origin(group.meta).get("query")
    return found if isinstance(found, str) else None


def origin_of_document(doc: Candidate) -> str | None:
    """The text of the document as the model would have read it before translation; None where it was not translated."""
    origin = _origin(doc.meta)
    title, text = origin.get("title"), origin.get("text")
    if not origin or not all(part is None or isinstance(part, str) for part in (title, text)):
        return None
    return document_text(title, text)


def _origin(meta: Json) -> Json:
    """The origin that `with_origin` put into `meta`; empty where the key holds somebody else's value."""
    found = meta.get(ORIGIN)
    return found if isinstance(found, dict) else {}


def with_origin(meta: Json, **origin: str | None) -> Json:
    """`meta` with the original texts. A value that the key has already, of an earlier translation or of somebody else,
    is kept inside."""
    return {**meta, ORIGIN: {**origin, ORIGIN: meta[ORIGIN]} if ORIGIN in meta else origin}
