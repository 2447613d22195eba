"""The MS MARCO triplets of sentence-transformers: ``.jsonl.gz`` of ``query``, ``pos`` and ``neg``.

What it holds: the query, the texts, and which are positive. Other keys of a row ride in `Group.meta`.
Teacher scores have no place and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crossrank.formats import pos_neg
from crossrank.formats.foreign import read_json_groups, write_json_groups
from crossrank.records import Group, Json, Reject


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group a line, of a file or of the files of a folder. Rejects what `pos_neg.group_of` refuses."""
    return read_json_groups(uri, reject, _group)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """One line a group, packed if the name ends in ``.gz``; returns their number.

    Rejects what `pos_neg.row_of` refuses.
    """
    return write_json_groups(uri, groups, reject, _rows)


def _group(row: Json, place: str) -> Group:
    return pos_neg.group_of(row, place, scored=False)


def _rows(group: Group) -> list[Json]:
    return [pos_neg.row_of(group, scored=False)]
