"""Parquet files as rows, a batch at a time, and of each row no more than is asked for.

A column that nobody asks for is not decoded: vectors beside the texts cost a hundred times what the texts do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError, in_short
from crossrank.formats.columns import check_columns
from crossrank.records import Reason, Reject, Rejected

BATCH_ROWS = 512
READ_BUFFER_BYTES = 1 << 20
"""Column chunks are streamed through a buffer of this size, so a huge row group is never in memory as a whole."""
LISTS = (pa.ListType, pa.LargeListType, pa.FixedSizeListType, pa.ListViewType, pa.LargeListViewType)
"""Arrow's types that hold a list of values in each row."""

WantedColumns = Mapping[str, Collection[str] | None]
"""Columns to read; of a column of objects, or of lists of objects, the fields to read, or None for all of it."""


def parquet_schema(uri: str) -> pa.Schema:
    """The columns of a Parquet file. Refuses what is not Parquet, and a name that comes twice."""
    with storage.open_seekable(uri) as file:
        schema = _opened(file, uri).schema_arrow
    check_columns(uri, schema.names)
    return schema


def holds_objects(kind: pa.DataType) -> bool:
    """Whether a column is of objects, or of lists of objects."""
    return bool(pa.types.is_struct(kind.value_type if is_list(kind) else kind))


def parquet_rows(uri: str, reject: Reject, wanted: WantedColumns | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the rows of a Parquet file, with their number from 1.

    A row with text that is not UTF-8 is rejected.

    Args:
        wanted: columns that are read; None reads all.
    """
    number = 0
    with storage.open_seekable(uri) as file:
        opened = _opened(file, uri)
        leaves = None if wanted is None else _wanted_leaves(opened, wanted)
        for batch in opened.iter_batches(BATCH_ROWS, columns=leaves):
            values = [_python_values(column) for column in batch.columns]
            for cells in zip(*values, strict=True):
                number += 1
                if any(cell is _NOT_TEXT for cell in cells):
                    reject(Rejected(uri, number, None, Reason.INVALID_UTF8, "holds text that is not UTF-8"))
                else:
                    yield number, dict(zip(batch.schema.names, cells, strict=True))


def _opened(file: Any, uri: str) -> Any:
    try:
        return pq.ParquetFile(file, buffer_size=READ_BUFFER_BYTES)
    except pa.ArrowInvalid as error:
        way_out = "; Parquet is packed already, so unpack it (gunzip)" if uri.lower().endswith(".gz") else ""
        reason = in_short(str(error).splitlines()[0])
        raise InputError(f"{uri} is not a Parquet file ({reason}){way_out}") from error


def _wanted_leaves(opened: Any, wanted: WantedColumns) -> list[str]:
    """The paths of the columns as they are stored, in which every field of an object is one of its own."""
    paths = [opened.schema.column(place).path for place in range(len(opened.schema))]
    chosen: list[str] = []
    place = 0
    for column in opened.schema_arrow:
        own = paths[place : place + _num_leaves(column.type)]
        place += len(own)
        if column.name in wanted:
            chosen += _leaves_of(column.type, own, wanted[column.name])
    return chosen


def _leaves_of(kind: pa.DataType, paths: list[str], fields: Collection[str] | None) -> list[str]:
    """The paths of a column that belong to one of the given fields; all where the column has none of them."""
    objects = kind.value_type if is_list(kind) else kind
    if fields is None or not pa.types.is_struct(objects):
        return paths
    chosen: list[str] = []
    place = 0
    for field in objects:
        own = paths[place : place + _num_leaves(field.type)]
        place += len(own)
        if field.name in fields:
            chosen += own
    return chosen or paths


def _num_leaves(kind: pa.DataType) -> int:
    if isinstance(kind, pa.BaseExtensionType):
        return _num_leaves(kind.storage_type)
    if pa.types.is_map(kind):
        return _num_leaves(kind.key_type) + _num_leaves(kind.item_type)
    if is_list(kind):
        return _num_leaves(kind.value_type)
    if pa.types.is_struct(kind):
        return sum(_num_leaves(field.type) for field in kind)
    return 1


def is_list(kind: pa.DataType) -> bool:
    """Whether a column holds a list of values in each row."""
    return isinstance(kind, LISTS)


_NOT_TEXT = object()


def _python_values(column: Any) -> list[Any]:
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        return [_python_value(scalar) for scalar in column]


def _python_value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return _NOT_TEXT


def as_json(value: Any) -> Any:
    """A Parquet value as JSON can hold it: not a number becomes null, dates and decimals their text, bytes hex."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value.hex() if isinstance(value, bytes) else str(value)
