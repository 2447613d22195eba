"""A group as a plain row and back, which the Parquet and the JSON lines form share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crossrank.formats.fields import (
    RowRefused,
    identifier,
    items,
    optional_number,
    optional_rank,
    optional_text,
    text,
    texts,
)
from crossrank.formats.lines import json_kind, parse_json
from crossrank.records import Candidate, Group, Json

GROUP_KEYS = frozenset(("query_id", "query", "lang", "split", "meta", "docs"))
DOCUMENT_KEYS = frozenset(
    ("doc_id", "title", "text", "label", "rank", "score", "teacher_score", "source", "flags", "meta")
)


def group_of(row: Json) -> Group:
    """The group of a row. Refuses it as a whole if one of its documents is wrong.

    Only ``query_id``, ``query`` and ``docs``, and the ``doc_id`` of a document, have to be there.
    """
    return Group(
        query_id=identifier(row, "query_id"),
        query=text(row, "query"),
        docs=tuple(_candidate(doc, f"docs[{position}]") for position, doc in enumerate(items(row, "docs"))),
        lang=optional_text(row, "lang"),
        split=optional_text(row, "split"),
        meta=_meta(row, ""),
    )


def row_of(group: Group, meta: Callable[[Json], Any]) -> Json:
    """The row of a group. `meta` gives the form of its free part: as it is, or as JSON text."""
    return {
        "query_id": group.query_id,
        "query": group.query,
        "lang": group.lang,
        "split": group.split,
        "meta": meta(group.meta),
        "docs": [
            {
                "doc_id": doc.doc_id,
                "title": doc.title,
                "text": doc.text,
                "label": doc.label,
                "rank": doc.rank,
                "score": doc.score,
                "teacher_score": doc.teacher_score,
                "source": doc.source,
                "flags": list(doc.flags),
                "meta": meta(doc.meta),
            }
            for doc in group.docs
        ],
    }


def _candidate(doc: object, name: str) -> Candidate:
    if not isinstance(doc, dict):
        raise RowRefused(f"{name} is {json_kind(doc)}, and an object is wanted")
    prefix = f"{name}."
    return Candidate(
        doc_id=identifier(doc, "doc_id", prefix),
        text=optional_text(doc, "text", prefix),
        title=optional_text(doc, "title", prefix),
        label=optional_number(doc, "label", prefix),
        rank=optional_rank(doc, "rank", prefix),
        score=optional_number(doc, "score", prefix),
        teacher_score=optional_number(doc, "teacher_score", prefix),
        source=optional_text(doc, "source", prefix),
        flags=() if doc.get("flags") is None else tuple(texts(doc, "flags", prefix)),
        meta=_meta(doc, prefix),
    )


def _meta(row: Json, prefix: str) -> Json:
    """An object, or its JSON text as in Parquet."""
    found = row.get("meta")
    if isinstance(found, str):
        try:
            found = parse_json(found)
        except ValueError as error:
            raise RowRefused(f"{prefix}meta is not JSON: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RowRefused(f"{prefix}meta is {json_kind(found)}, and an object is wanted")
    return found
