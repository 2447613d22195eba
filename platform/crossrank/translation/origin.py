"""What a translated group was before: kept in `meta`, so that filters can compare and nothing is lost.

group.meta["origin"] = {"lang": "en", "query": "..."}
doc.meta["origin"] = {"title": ..., "text": ...}
"""

from __future__ import annotations

from crossrank.records import Candidate, Group, Json, document_text

ORIGIN = "origin"


def origin_of_query(group: Group) -> str | None:
    """The query before it was translated; None where the group was not."""
    found: str | None = group.meta.get(ORIGIN, {}).get("query")
    return found


def origin_of_document(doc: Candidate) -> str | None:
    """What the model would read of the document before it was translated; None where it was not."""
    if ORIGIN not in doc.meta:
        return None
    origin = doc.meta[ORIGIN]
    return document_text(origin.get("title"), origin.get("text"))


def with_origin(meta: Json, **origin: str | None) -> Json:
    """`meta` with what was there before."""
    return {**meta, ORIGIN: origin}
