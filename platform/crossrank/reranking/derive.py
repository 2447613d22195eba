"""Totals, rejected rows and the TREC run, computed from the parts once all are there.

None of them is written while the job runs, so a kill cannot write them twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.formats.lines import writing_lines
from crossrank.formats.run_lines import run_lines
from crossrank.records import Reason
from crossrank.reranking.layout import STATS_TYPE
from crossrank.resumable.layout import Layout, read_table
from crossrank.resumable.parts import read_ahead, read_part
from crossrank.resumable.rejects import REJECTED_SCHEMA

NOT_RANKED: dict[str, str] = {
    Reason.EMPTY_QUERY: "the text is empty or white space",
    Reason.NO_CANDIDATES: "no document is left that could be scored",
    Reason.SCORE_NOT_FINITE: "the model gave a score that is no finite number",
}
"""Sentences for the reasons why a query was not ranked."""


DOCUMENT = "docs.list.element"
"""Path in Parquet of the columns of the documents: only those that are asked for are read, without the texts."""


@dataclass(slots=True)
class RerankTotals:
    """Sums over all parts."""

    queries: int = 0
    ok: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    stats: Counter[str] = field(default_factory=Counter)
    parts_with_rejected: list[int] = field(default_factory=list)

    def add(self, number: int, part: pa.Table) -> None:
        """Add the figures of a part."""
        reasons = Counter(reason for reason in part["reason"].to_pylist() if reason is not None)
        if reasons:
            self.parts_with_rejected.append(number)
        self.queries += len(part)
        self.ok += len(part) - reasons.total()
        self.rejected += reasons
        self.documents += pc.sum(pc.list_value_length(part["docs"])).as_py() or 0
        stats = part["stats"].combine_chunks()
        for each in STATS_TYPE:
            self.stats[each.name] += pc.sum(stats.field(each.name)).as_py() or 0


def totals(layout: Layout, rows_of_blocks: list[int]) -> RerankTotals:
    """Add up the parts, after checking that each holds every row of its block once.

    Args:
        rows_of_blocks: number of queries in block 0, 1, ...
    """
    unfinished = sorted(set(range(len(rows_of_blocks))) - layout.finished_parts())
    if unfinished:
        raise JobFailed(f"{layout.part(unfinished[0])} is not there, though all is scored; run the same command again")
    found = RerankTotals()
    first = 0
    columns = ["row", "reason", f"{DOCUMENT}.rank", "stats"]
    for number, part in enumerate(_parts(layout, range(len(rows_of_blocks)), columns)):
        num_rows = rows_of_blocks[number]
        if part["row"].to_pylist() != list(range(first, first + num_rows)):
            raise JobFailed(
                f"{layout.part(number)} does not hold the rows {first} to {first + num_rows - 1} of its block once "
                f"each; remove the file and run the same command again"
            )
        first += num_rows
        found.add(number, part)
    return found


def _parts(layout: Layout, numbers: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
    """Yield these columns of the parts, in the order of `numbers`."""

    def read(file: BinaryIO) -> pa.Table:
        # Read before they are decoded: in an object store each column would be a request.
        return pq.ParquetFile(file, pre_buffer=True).read(columns=columns, use_threads=False)

    def part(number: int) -> pa.Table:
        found = read_part(layout.part(number), read)
        if found is None:  # a disk that lied about what it had written
            raise JobFailed(f"{layout.part(number)} is no whole Parquet file; remove it and run the same command again")
        return found

    return read_ahead(numbers, part)


def write_rejected(layout: Layout, numbers: Sequence[int]) -> dict[str, dict[str, int]]:
    """Write `_rejected/`: the rows that were set aside while preparing, then the queries that could not be ranked.

    Args:
        numbers: numbers of the parts that hold such queries.

    Returns:
        The number of rows, by the input file that they came from and by reason.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    uri = storage.join(layout.rejected, "rejected.parquet")
    with storage.writing(uri) as stream, pq.ParquetWriter(stream, REJECTED_SCHEMA, compression="zstd") as writer:
        for table in _rejected_tables(layout, numbers):
            if len(table):
                writer.write_table(table)
            for source, reason in zip(table["source"].to_pylist(), table["reason"].to_pylist(), strict=True):
                counts[source][reason] += 1
    return {source: dict(reasons) for source, reasons in counts.items()}


def _rejected_tables(layout: Layout, numbers: Sequence[int]) -> Iterator[pa.Table]:
    with storage.open_seekable(layout.prepared_rejected) as stream:
        for batch in pq.ParquetFile(stream).iter_batches():
            yield pa.Table.from_batches([batch])
    for number, part in zip(numbers, _parts(layout, numbers, ["query_id", "reason"]), strict=True):
        block = read_table(layout.block(number), ["source", "line"])
        rows = [
            {**place, "record_id": row["query_id"], "reason": row["reason"], "detail": NOT_RANKED[row["reason"]]}
            for place, row in zip(block.to_pylist(), part.to_pylist(), strict=True)
            if row["reason"] is not None
        ]
        yield pa.Table.from_pylist(rows, schema=REJECTED_SCHEMA)


def write_run(layout: Layout, num_blocks: int, uri: str) -> int:
    """Write the ranked documents as a TREC run, in the order of the queries. Returns the number of lines."""
    num_lines = row_number = 0
    with writing_lines(uri) as write:
        columns = ["row", "query_id", *(f"{DOCUMENT}.{name}" for name in ("doc_id", "score"))]
        for number, part in enumerate(_parts(layout, range(num_blocks), columns)):
            for row in part.to_pylist():
                if row["row"] != row_number:
                    raise JobFailed(
                        f"{layout.part(number)} holds row {row['row']} where {row_number} belongs, so it is not the "
                        f"part that was written; remove it and run the same command again"
                    )
                row_number += 1
                docs = row["docs"]
                lines = run_lines(row["query_id"], [doc["doc_id"] for doc in docs], [doc["score"] for doc in docs])
                for line in lines:
                    write(line)
                num_lines += len(lines)
    return num_lines
