"""The parts of a result: a Parquet file for each block of rows, written whole under the block's own name or not at all.

A job that goes on leaves the parts that are there. What happened to them since they were written nobody told it, so it
looks at their footers: a file that was cut off, or put in the place of another, is made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import OutputError

READ_AT_ONCE = 16
"""Footers: those of an object store are waited for."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The tables of one output folder that are its result."""

    output: str

    def part(self, number: int) -> str:
        return storage.join(self.output, f"part-{number:05}.parquet")

    def finished_parts(self) -> set[int]:
        """Numbers of the parts that are there."""
        names = [file.uri.rsplit("/", 1)[1] for file in storage.list_files(self.output, suffix=".parquet")]
        return {int(name[5:-8]) for name in names if name.startswith("part-") and name[5:-8].isdigit()}

    def lacking_parts(self, num_blocks: int, rows_of_blocks: Sequence[int] | None) -> set[int]:
        """Numbers of the parts that are to be made: not there, or not of the rows of their block.

        Args:
            rows_of_blocks: rows of block 0, 1, ...; None, where nobody knows them any more, trusts what is there.
        """
        there = self.finished_parts() & set(range(num_blocks))
        if rows_of_blocks is not None:
            starts = [0, *accumulate(rows_of_blocks)]
            with ThreadPoolExecutor(READ_AT_ONCE) as readers:
                holding = {
                    number: readers.submit(_holds, self.part(number), starts[number], rows_of_blocks[number])
                    for number in there
                }
            there = {number for number, answer in holding.items() if answer.result()}
        return set(range(num_blocks)) - there

    def delete_parts(self) -> None:
        for number in self.finished_parts():
            storage.delete(self.part(number))

    def refuse_foreign_tables(self, num_blocks: int) -> None:
        """Refuse a table beside the parts of so many blocks: a reader of the folder would take its rows for results."""
        ours = {self.part(number).rsplit("/", 1)[1] for number in range(num_blocks)}
        for file in storage.list_files(self.output, suffix=".parquet"):
            name = file.uri.rsplit("/", 1)[1]
            if name not in ours and not name.startswith("_"):
                raise OutputError(
                    f"{file.uri} is no part of this job, and readers of the folder would take it for one; move it away"
                )


def _holds(uri: str, first_row: int, num_rows: int) -> bool:
    """Whether a file is a table of so many rows, and where it numbers them, of these."""
    footer = storage.read_from(uri, _footer)
    if footer is None or footer.num_rows != num_rows:
        return False
    bounds = [_bounds(footer.row_group(number)) for number in range(footer.num_row_groups)]
    found = [each for each in bounds if each is not None]
    return not found or (found[0][0], found[-1][1]) == (first_row, first_row + num_rows - 1)


def _footer(file: BinaryIO) -> pq.FileMetaData | None:
    """None where there is none."""
    try:
        return pq.read_metadata(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, pa.ArrowInvalid) or "deserialize" in str(error):  # else it could not be read
            return None
        raise


def _bounds(rows: pq.RowGroupMetaData) -> tuple[int, int] | None:
    """The first and the last number of rows that are numbered."""
    column = rows.column(0)
    if column.path_in_schema != "row" or not column.is_stats_set:
        return None
    return column.statistics.min, column.statistics.max
