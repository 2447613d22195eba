"""What lies in an output folder, and the columns of its tables.

All that is not a result begins with an underscore, so any Parquet reader takes the folder as one table.

    part-00000.parquet ...     results of block 0, 1, ...: a part that exists is finished, whole
    _manifest.json             what was asked, what came out
    _prepared/                 block-00000.parquet ...: queries with their candidates as corpus rows; plan.json
    _rejected/                 rows that were set aside, with file, line and reason
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.parts import Parts
from crossrank.records import Reject, Rejected
from crossrank.telemetry.job_metrics import ROWS_REJECTED

PREPARED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("source", pa.string()),  # the file that the query came from, and its line there
        pa.field("line", pa.int64()),
        pa.field("query_id", pa.string()),
        pa.field("query", pa.string()),
        pa.field("reason", pa.string()),  # why it cannot be scored; null when it can
        pa.field("corpus_rows", pa.list_(pa.int32())),
        pa.field("doc_ids", pa.list_(pa.string())),  # null where the corpus has them
        pa.field("texts", pa.list_(pa.large_string())),  # null where the corpus has them
        pa.field("initial_ranks", pa.list_(pa.int32())),
        pa.field("initial_scores", pa.list_(pa.float64())),
        pa.field("labels", pa.list_(pa.float64())),
    ]
)
"""One row a query. `corpus_rows` is -1 for a document that brings its text."""

RANKED_TYPE = pa.struct(
    [
        pa.field("doc_id", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("score", pa.float32()),
        pa.field("initial_rank", pa.int32()),
        pa.field("initial_score", pa.float64()),
        pa.field("label", pa.float64()),
        pa.field("truncated_tokens", pa.int32()),
    ]
)
STATS_TYPE = pa.struct(
    [
        pa.field("pairs", pa.int32()),
        pa.field("tokens", pa.int64()),
        pa.field("padding", pa.int64()),
        pa.field("truncated_documents", pa.int32()),
        pa.field("query_truncated_tokens", pa.int32()),
        pa.field("tied_documents", pa.int32()),  # whose logit another document of the query has too
    ]
)


def part_schema(with_text: bool) -> pa.Schema:
    """Columns of the result: one row a query."""
    ranked = [RANKED_TYPE.field(i) for i in range(RANKED_TYPE.num_fields)]
    if with_text:
        ranked.append(pa.field("text", pa.large_string()))
    return pa.schema(
        [
            pa.field("row", pa.int64()),
            pa.field("query_id", pa.string()),
            pa.field("query", pa.string()),
            pa.field("status", pa.string()),
            pa.field("reason", pa.string()),
            pa.field("docs", pa.list_(pa.struct(ranked))),
            pa.field("stats", STATS_TYPE),
        ]
    )


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
"""Rejected rows that are held in memory before they are written."""


@contextmanager
def rejected_file(uri: str) -> Iterator[Reject]:
    """A function that sets rows aside in a Parquet file of `REJECTED_SCHEMA`, in memory that does not grow."""
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


@dataclass(frozen=True, slots=True)
class Layout(Parts):
    """Names of the files of one output folder."""

    @property
    def manifest(self) -> str:
        return storage.join(self.output, "_manifest.json")

    @property
    def prepared(self) -> str:
        return storage.join(self.output, "_prepared")

    @property
    def rejected(self) -> str:
        return storage.join(self.output, "_rejected")

    @property
    def plan(self) -> str:
        return storage.join(self.prepared, "plan.json")

    @property
    def wanted(self) -> str:
        """Which rows of the corpus any candidate names, a bit a row, and a key for that set."""
        return storage.join(self.prepared, "wanted.parquet")

    @property
    def prepared_rejected(self) -> str:
        return storage.join(self.prepared, "rejected.parquet")

    def block(self, number: int) -> str:
        return storage.join(self.prepared, f"block-{number:05}.parquet")


def write_table(uri: str, table: pa.Table) -> None:
    """Write a small table as one Parquet file, atomically."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    storage.write_bytes(uri, buffer.getvalue())


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """Read one Parquet file whole."""
    return pq.read_table(pa.BufferReader(storage.read_bytes(uri)), columns=columns)
