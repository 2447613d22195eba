"""The parts of a result: a Parquet file for each block of rows, written whole under the block's own name or not at all.

A job that goes on leaves those that are as they were written. What happened to one since nobody tells it, so it looks
at their footers: a file that was cut off, or put in the place of another, is made again. What lies between a whole
footer and the beginning is not looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import BinaryIO, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError, OutputError, StorageError
from crossrank.progress import Waiting

Result = TypeVar("Result")

READ_AT_ONCE = 16
"""Files: those of an object store are waited for."""


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
            numbers = sorted(there)
            with Waiting("looking at the parts that are there"):
                holds = read_ahead(numbers, lambda each: _holds(self.part(each), starts[each], rows_of_blocks[each]))
                there = {number for number, is_whole in zip(numbers, holds, strict=True) if is_whole}
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


def read_ahead(numbers: Iterable[int], read: Callable[[int], Result]) -> Iterator[Result]:
    """What `read` gives of each number, in their order; a few are read at once."""
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        reading: deque[Future[Result]] = deque()
        left = iter(numbers)
        while True:
            reading.extend(readers.submit(read, number) for number in islice(left, READ_AT_ONCE - len(reading)))
            if not reading:
                return
            yield reading.popleft().result()


def read_part(uri: str, read: Callable[[BinaryIO], Result]) -> Result | None:
    """What `read` makes of a Parquet file; None where the file is damaged."""
    try:
        return storage.read_from(uri, read)
    except (InputError, StorageError):
        # Arrow tells damage and a connection that broke alike. In memory nothing breaks but what is damaged.
        content = pa.BufferReader(storage.read_bytes(uri))
    try:
        return read(cast(BinaryIO, content))
    except (pa.ArrowException, OSError):
        return None


def _holds(uri: str, first_row: int, num_rows: int) -> bool:
    """Whether a file is a table of so many rows, and where it numbers them, of these."""
    footer: pq.FileMetaData | None = read_part(uri, pq.read_metadata)
    if footer is None or footer.num_rows != num_rows:
        return False
    bounds = [_bounds(footer.row_group(number)) for number in range(footer.num_row_groups)]
    found = [each for each in bounds if each is not None]
    return not found or (found[0][0], found[-1][1]) == (first_row, first_row + num_rows - 1)


def _bounds(rows: pq.RowGroupMetaData) -> tuple[int, int] | None:
    """The first and the last number of rows that are numbered."""
    column = rows.column(0)
    if column.path_in_schema != "row" or not column.is_stats_set:
        return None
    return column.statistics.min, column.statistics.max
