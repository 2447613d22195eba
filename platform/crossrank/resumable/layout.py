"""Names of the files in the output folder of a job, and its small tables."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.resumable.parts import Parts


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
        """File with a bit for each row of the corpus, set where a candidate names the row, and a key for that set."""
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
