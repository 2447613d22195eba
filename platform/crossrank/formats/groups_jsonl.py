"""Groups as JSON lines: the record of the Parquet form, ``meta`` as an object, for reading and editing by hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from crossrank.formats.fields import RowRefused, accepted, known_id
from crossrank.formats.foreign import write_json_groups
from crossrank.formats.group_order import in_rank_order
from crossrank.formats.group_rows import DOCUMENT_KEYS, GROUP_KEYS, group_of, row_of
from crossrank.formats.lines import read_json_lines
from crossrank.formats.sources import JSON_LINES, files_of
from crossrank.records import Group, Json, Reject


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """The groups of a JSON lines file, or of all such files of a folder, each with its line in its file.

    Documents stand by their ranks. Keys beyond the record are refused, unlike columns of Parquet: a misspelt ``lable``
    would go unseen.
    """
    for file in files_of(uri, JSON_LINES):
        rows = read_json_lines(file, reject)
        groups = accepted(rows, file, reject, _group, lambda row: known_id(row, "query_id"))
        yield from in_rank_order(groups, file)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write the groups, one a line. Floats read back exactly. Returns their number.

    Rejected: a group with a number that is not finite, which JSON does not have.
    """
    return write_json_groups(uri, groups, reject, _rows)


def group_of_row(row: Json) -> Group:
    """The group of a row. Refuses keys that a group does not have, beside what `group_rows.group_of` refuses."""
    group = group_of(row)
    for found in (row, *row["docs"]):
        if unknown := found.keys() - (GROUP_KEYS if found is row else DOCUMENT_KEYS):
            raise RowRefused(f"has the key {min(unknown)}, which a group does not have; put it into meta")
    return group


def _group(_line_number: int, row: Json) -> Group:
    return group_of_row(row)


def _rows(group: Group) -> list[Json]:
    return [row_of(group, lambda meta: meta)]
