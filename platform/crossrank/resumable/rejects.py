"""Rows that a job sets aside, as a Parquet file with the place and the reason of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.records import Reject, Rejected
from crossrank.telemetry.job_metrics import ROWS_REJECTED

REJECTED_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("record_id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


REJECTED_ROWS = 4096
"""Rejected rows held in memory before they are written."""


@contextmanager
def rejected_file(uri: str) -> Iterator[Reject]:
    """Yield a function that sets rows aside in a Parquet file of `REJECTED_SCHEMA`, in memory that does not grow."""
    rows: list[dict[str, Any]] = []
    with storage.writing(uri) as stream, pq.ParquetWriter(stream, REJECTED_SCHEMA, compression="zstd") as writer:

        def flush() -> None:
            for reason, count in Counter(str(row["reason"]) for row in rows).items():
                ROWS_REJECTED.add(count, reason=reason)
            if rows:
                writer.write_table(pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA))
                rows.clear()

        def reject(row: Rejected) -> None:
            rows.append(asdict(row))
            if len(rows) >= REJECTED_ROWS:
                flush()

        yield reject
        flush()
