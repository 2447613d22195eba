"""Groups as Parquet: the form that every stage of crossrank reads and writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError, listed
from crossrank.formats.fields import accepted, known_id
from crossrank.formats.group_order import in_rank_order
from crossrank.formats.group_rows import DOCUMENT_KEYS, GROUP_KEYS, group_of, row_of
from crossrank.formats.parquet import WantedColumns, parquet_rows, parquet_schema
from crossrank.formats.sources import PARQUET, files_of
from crossrank.records import Group, Json, Reject, dump_meta

ROW_GROUP_GROUPS = 2048
ROW_GROUP_CHARACTERS = 16 << 20
"""A row group ends at whichever of the two comes first; it is what the writer holds in memory."""

DOCUMENT_TYPE = pa.struct(
    [
        ("doc_id", pa.string()),
        ("title", pa.string()),
        ("text", pa.string()),
        ("label", pa.float64()),
        ("rank", pa.int32()),
        ("score", pa.float64()),
        ("teacher_score", pa.float64()),
        ("source", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("meta", pa.string()),
    ]
)
GROUP_SCHEMA = pa.schema(
    [
        ("query_id", pa.string()),
        ("query", pa.string()),
        ("lang", pa.string()),
        ("split", pa.string()),
        ("meta", pa.string()),
        ("docs", pa.list_(DOCUMENT_TYPE)),
    ]
)
"""Columns of a file of groups. ``meta`` is JSON text; null where there is none."""
GROUP_COLUMNS: WantedColumns = {**dict.fromkeys(GROUP_KEYS), "docs": DOCUMENT_KEYS}
"""Columns that are read. Other columns, and other fields of ``docs``, are not even decoded."""


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """The groups of a Parquet file, or of all Parquet files of a folder, each with its row from 1 in its file.

    Columns beyond the schema are ignored, and missing ones are null, save ``query_id``, ``query`` and ``docs``.
    A row that is not a group is rejected. Documents stand by their ranks. Refuses a file without those three.
    """
    for file in files_of(uri, PARQUET):
        columns = parquet_schema(file).names
        missing = [name for name in ("query_id", "query", "docs") if name not in columns]
        if missing:
            raise InputError(
                f"{file} does not hold groups: it has no column {missing[0]}, only {listed(columns)}; "
                f"make groups of other formats with crossrank convert"
            )
        rows = parquet_rows(file, reject, GROUP_COLUMNS)
        groups = accepted(rows, file, reject, _group, lambda row: known_id(row, "query_id"))
        yield from in_rank_order(groups, file)


def write_groups(uri: str, groups: Iterable[Group]) -> int:
    """Write the groups to one Parquet file, holding one row group at a time. Returns their number.

    Everything a group has is kept, and floats read back exactly, so none is refused.
    """
    written = 0
    with storage.writing(uri) as stream, pq.ParquetWriter(stream, GROUP_SCHEMA, compression="zstd") as writer:
        for rows in _row_groups(groups):
            writer.write_table(pa.Table.from_pylist(rows, schema=GROUP_SCHEMA), row_group_size=len(rows))
            written += len(rows)
    return written


def _group(_row_number: int, row: Json) -> Group:
    return group_of(row)


def _row_groups(groups: Iterable[Group]) -> Iterator[list[Json]]:
    rows: list[Json] = []
    characters = 0
    for group in groups:
        rows.append(row_of(group, dump_meta))
        characters += len(group.query) + sum(len(doc.text or "") + len(doc.title or "") for doc in group.docs)
        if len(rows) >= ROW_GROUP_GROUPS or characters >= ROW_GROUP_CHARACTERS:
            yield rows
            rows, characters = [], 0
    if rows:
        yield rows
