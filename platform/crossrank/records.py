"""The two records that run through everything: the corpus document and the group.

A **document** is one row of the corpus. A **group** is a query with its candidates, which readers put
in the order of their initial ranks. Rows that cannot be used become a `Rejected`, never a default.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Reason(StrEnum):
    """Why a row was set aside. The value is what the files of `_rejected/` hold."""

    MALFORMED = "malformed"
    """Not JSON, not the right number of columns, a missing field or a field of the wrong type."""
    INVALID_UTF8 = "invalid_utf8"
    EMPTY_QUERY = "empty_query"
    EMPTY_DOCUMENT = "empty_document"
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_QUERY = "unknown_query"
    """A run or a judgement names a query that the queries do not have."""
    UNKNOWN_DOCUMENT = "unknown_document"
    """A run or a group names a document that the corpus does not have."""
    NO_CANDIDATES = "no_candidates"
    SCORE_NOT_FINITE = "score_not_finite"
    NO_POSITIVE = "no_positive"
    """A group without a document that is labelled above 0, or whose only one cannot be used."""
    NO_NEGATIVE = "no_negative"
    """A group without a document that is labelled 0, so that there is nothing to compare the positive with."""
    LABELLED_BOTH_WAYS = "labelled_both_ways"
    """A negative whose text is labelled above 0 for the same query, in its group or in another: the positive wins."""
    NO_TEACHER_SCORE = "no_teacher_score"
    OTHER_LANGUAGE = "other_language"
    """A group that is marked with another language than the one that is translated from."""
    HELD_OUT = "held_out"
    """A training group whose query is measured on, too."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside."""

    source: str
    """URI of the file it came from."""
    line: int | None
    """Line in that file, from 1; None where the format has no lines (Parquet counts rows, from 1)."""
    record_id: str | None
    """Query or document id of the row, where it could be read."""
    reason: Reason
    detail: str
    """One sentence: what was found."""


Reject = Callable[[Rejected], None]
"""Function that a reader calls for every row it sets aside, before it goes on with the next."""


@dataclass(frozen=True, slots=True)
class Document:
    """One row of the corpus."""

    doc_id: str
    text: str
    title: str | None = None
    meta: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document of a group."""

    doc_id: str
    text: str | None = None
    """None means: look `doc_id` up in the corpus."""
    title: str | None = None
    label: float | None = None
    """Above 0 a positive, 0 a judged negative, None unjudged (never a training negative)."""
    rank: int | None = None
    """Initial rank, from 0 or 1. Where documents of a group have one, it decides their order."""
    score: float | None = None
    """Score of the first stage."""
    teacher_score: float | None = None
    source: str | None = None
    """Origin of the candidate, such as ``bm25``."""
    flags: tuple[str, ...] = ()
    """Reason codes of filters; a flagged document stays in the group."""
    meta: Json = field(default_factory=dict)

    @property
    def own_text(self) -> str | None:
        """The text that the model reads of a document that brings its text; None where the corpus has it."""
        return None if self.text is None else document_text(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Group:
    """A query with its documents, by initial rank where they have one; see `crossrank.formats.document_order`."""

    query_id: str
    query: str
    docs: tuple[Candidate, ...] = ()
    lang: str | None = None
    split: str | None = None
    meta: Json = field(default_factory=dict)


def document_text(title: str | None, text: str | None) -> str:
    """The text that the model reads of a document: ``title + " " + text``, stripped. No other code joins the two."""
    return f"{title or ''} {text or ''}".strip()


def title_length(title: str | None, text: str | None) -> int:
    """Number of characters of `document_text` that stand before the text itself: a title and the space behind it."""
    return len(document_text(title, text)) - len((text or "").strip())


def dump_meta(meta: Json) -> str | None:
    """`meta` as the JSON text of a Parquet cell; None when there is nothing."""
    return json.dumps(meta, ensure_ascii=False, sort_keys=True) if meta else None
