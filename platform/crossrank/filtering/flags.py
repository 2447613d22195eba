"""Flags of a filter on documents: added, and taken off again.

The flags that are the filter's own are named once more in ``meta["crossrank_filter"]``, beside what it overwrote:
flags of the translation, or of somebody else, are never taken for the filter's, whatever they are called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crossrank.records import Candidate, Group, Json

FILTER = "crossrank_filter"
OF_QUERY = "query_"
"""Prefix of the reason against a query, on every document of its group."""


def flags_of_filter(doc: Candidate) -> tuple[str, ...]:
    """The flags that a filter put on a document."""
    return tuple(doc.meta.get(FILTER, {}).get("flags", ()))


def other_flags(doc: Candidate) -> tuple[str, ...]:
    """The flags that others put on a document."""
    ours = flags_of_filter(doc)
    return tuple(flag for flag in doc.flags if flag not in ours)


def flagged(doc: Candidate, reasons: Sequence[str]) -> Candidate:
    """The document with these reasons against it as flags, beside those that it has."""
    added = [reason for reason in dict.fromkeys(reasons) if reason not in doc.flags]
    if not added:
        return doc
    kept = doc.meta.get(FILTER, {})
    ours: Json = {**kept, "flags": [*kept.get("flags", ()), *added]}
    return replace(doc, flags=(*doc.flags, *added), meta={**doc.meta, FILTER: ours})


def scored(doc: Candidate, source: float, target: float) -> Candidate:
    """The document with a teacher's scores of it in both languages; `teacher_score` is that of the source.

    The source was written by people, so its score is the one to learn from.
    """
    kept = doc.meta.get(FILTER, {})
    ours: Json = {**kept, "teacher": {"source": source, "target": target, "before": doc.teacher_score}}
    return replace(doc, teacher_score=source, meta={**doc.meta, FILTER: ours})


def cleared(group: Group) -> Group:
    """The group as it was before a filter saw it."""
    return replace(group, docs=tuple(_cleared(doc) for doc in group.docs))


def _cleared(doc: Candidate) -> Candidate:
    if FILTER not in doc.meta:
        return doc
    ours = doc.meta[FILTER]
    meta = {key: value for key, value in doc.meta.items() if key != FILTER}
    score = ours["teacher"]["before"] if "teacher" in ours else doc.teacher_score
    return replace(doc, flags=other_flags(doc), teacher_score=score, meta=meta)
