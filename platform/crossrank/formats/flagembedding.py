"""FlagEmbedding's training data: JSON lines of ``query``, ``pos``, ``neg``, ``pos_scores``, ``neg_scores``, ``prompt``.

What it holds: the query, the texts, which are positive, teacher scores, and any other key of the row (``prompt``
too), which rides in `Group.meta`. A label of any height above 0 is a positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crossrank.formats import pos_neg
from crossrank.formats.foreign import read_json_groups, write_json_groups
from crossrank.formats.sources import JSON_LINES
from crossrank.records import Group, Json, Reject

EXTENSIONS = (*JSON_LINES, ".json")


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group a line, of a file or of the files of a folder. Rejects what `pos_neg.group_of` refuses."""
    return read_json_groups(uri, reject, group_of_row, EXTENSIONS)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """One line a group; returns their number. Rejects what `pos_neg.row_of` refuses."""
    return write_json_groups(uri, groups, reject, _rows)


def group_of_row(row: Json, place: str) -> Group:
    """The group of a row; `place` is where it stands, which no other row of the input has."""
    return pos_neg.group_of(row, place, scored=True)


def _rows(group: Group) -> list[Json]:
    return [pos_neg.row_of(group, scored=True)]
