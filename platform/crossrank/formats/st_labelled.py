"""The labelled lists of sentence-transformers: JSON lines of ``query``, ``docs`` and ``labels``.

What it holds: the query, the texts in their order, their labels, and any other key of the row, which rides in
`Group.meta`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crossrank.formats.fields import numbers, plain_number, text, texts
from crossrank.formats.foreign import (
    extra_keys,
    judged,
    plain_text,
    query_id,
    read_json_groups,
    trusted_label,
    write_json_groups,
    written_keys,
)
from crossrank.records import Group, Json, Reject

OWN_KEYS = ("query", "docs", "labels")


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group a line, of a file or of the files of a folder.

    Rejected: ``docs`` that are not strings, and ``labels`` that are not one number for each.
    """
    return read_json_groups(uri, reject, group_of_row)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """One line a group; returns their number. Rejected: documents without text, unjudged or flagged."""
    return write_json_groups(uri, groups, reject, _rows)


def group_of_row(row: Json, place: str) -> Group:
    """The group of a row; `place` is where it stands, which no other row of the input has."""
    query = text(row, "query")
    passages = texts(row, "docs")
    labels = numbers(row, "labels", len(passages), "docs")
    docs = tuple(judged(passage, label) for passage, label in zip(passages, labels, strict=True))
    return Group(query_id(query, place), query, docs, meta=extra_keys(row, OWN_KEYS))


def _rows(group: Group) -> list[Json]:
    row: Json = {
        "query": group.query,
        "docs": [plain_text(doc) for doc in group.docs],
        "labels": [plain_number(trusted_label(doc)) for doc in group.docs],
    }
    return [row | written_keys(group.meta, OWN_KEYS)]
