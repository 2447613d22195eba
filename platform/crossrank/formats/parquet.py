"""Parquet files as rows, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError
from crossrank.formats.columns import Table, check_columns
from crossrank.records import Reason, Reject, Rejected

BATCH_ROWS = 512
READ_BUFFER_BYTES = 1 << 20
"""Column chunks are streamed through a buffer of this size, so a huge row group is never in memory as a whole."""


def parquet_table(uri: str, reject: Reject) -> Table:
    """The columns of a Parquet file, and its rows with their number from 1.

    A row with text that is not UTF-8 is rejected. Refuses what is not Parquet.
    """
    with storage.open_seekable(uri) as file:
        columns = list(_opened(file, uri).schema_arrow.names)
    check_columns(uri, columns)
    return Table(columns, _rows(uri, columns, reject))


def _opened(file: Any, uri: str) -> Any:
    try:
        return pq.ParquetFile(file, buffer_size=READ_BUFFER_BYTES)
    except pa.ArrowInvalid as error:
        raise InputError(f"{uri} is not a Parquet file ({str(error).splitlines()[0][:120]})") from error


def _rows(uri: str, columns: list[str], reject: Reject) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    with storage.open_seekable(uri) as file:
        for batch in _opened(file, uri).iter_batches(BATCH_ROWS):
            values = [_python_values(column) for column in batch.columns]
            for cells in zip(*values, strict=True):
                number += 1
                if any(cell is _NOT_TEXT for cell in cells):
                    reject(Rejected(uri, number, None, Reason.INVALID_UTF8, "holds text that is not UTF-8"))
                else:
                    yield number, dict(zip(columns, cells, strict=True))


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
