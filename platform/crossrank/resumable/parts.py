"""The parts of a result: a Parquet file for each block of rows, written whole under the block's own name or not at all.

A job that goes on keeps the parts that are whole. It cannot know what happened to them since, so it reads their
footers: a file that was cut off, or put in the place of another, is made again. What lies before a whole footer is not
read.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import BinaryIO, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.errors import InputError, OutputError, StorageError
from crossrank.telemetry.progress import Waiting

Result = TypeVar("Result")

TABLES = (".parquet", ".parq", ".pq")
_PART = re.compile(r"part-[0-9]+\.parquet")
_OWN_FOLDER = re.compile(r"/[_.]")
"""Element of a path that begins with an underscore or a dot, which readers of Parquet folders skip."""

READ_AT_ONCE = 16
"""Files that are read at the same time, since each read of an object store has to be waited for."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The tables of one output folder that make up its result."""

    output: str

    def part(self, number: int) -> str:
        return storage.join(self.output, _name(number))

    def finished_parts(self) -> set[int]:
        """Numbers of the parts that are there."""
        names = [file.uri.rsplit("/", 1)[1] for file in storage.list_files(self.output, suffix=".parquet")]
        numbers = [int(name[5:-8]) for name in names if _PART.fullmatch(name)]
        return {number for number in numbers if _name(number) in names}

    def lacking_parts(self, num_blocks: int, rows_of_blocks: Sequence[int] | None) -> set[int]:
        """Numbers of the parts to make: those that are missing, or do not have the rows of their block.

        Args:
            rows_of_blocks: rows of block 0, 1, ...; None, where they are no longer known, trusts every part that is
                there.
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

    def rows_of_a_part(self) -> int | None:
        """Rows of every part but the last, read from the parts that are there; None where they do not show it.

        They number their rows, so part 3 that begins with row 30 says 10, as does part 0 where it has 10 rows.
        """
        numbers = sorted(self.finished_parts())
        said: Counter[int] = Counter()
        with Waiting("looking at the parts that are there"):
            footers = read_ahead(numbers, lambda each: read_part(self.part(each), pq.read_metadata))
            for number, footer in zip(numbers, footers, strict=True):
                first = _first_row(footer) if footer is not None else None
                if footer is not None and first is not None and (first % number == 0 if number else first == 0):
                    said[first // number if number else footer.num_rows] += 1
        return said.most_common(1)[0][0] if said else None

    def sizes_of_parts(self, num_rows: int, num_blocks: int) -> list[int] | None:
        """Rows of block 0, 1, ..., read from the parts that are there; None where they do not show it."""
        size = self.rows_of_a_part()
        if not size or -(-num_rows // size) != num_blocks:
            return None
        return [min(size, num_rows - first) for first in range(0, num_rows, size)]

    def refuse_foreign_tables(self, num_blocks: int | None) -> None:
        """Refuse a table beside the job's own parts: a reader of the folder would take its rows for results.

        Readers look into folders too, unless their names begin with an underscore or a dot.

        Args:
            num_blocks: number of blocks, each with one part; None, where it is not known, accepts every file that is
                named as a part.
        """
        begins = f"{storage.absolute(self.output).rstrip('/')}/"
        for file in storage.list_files(self.output, recursive=True):
            name = file.uri.removeprefix(begins)
            if name.lower().endswith(TABLES) and not name.startswith(("_", ".")) and not _OWN_FOLDER.search(name):
                number = int(name[5:-8]) if _PART.fullmatch(name) else None
                if number is None or (num_blocks is not None and number >= num_blocks) or name != _name(number):
                    raise OutputError(
                        f"{file.uri} is no part of this job, and readers of the folder would take it for one; move it "
                        f"away"
                    )


def read_ahead(numbers: Iterable[int], read: Callable[[int], Result]) -> Iterator[Result]:
    """Yield `read(number)` for each number, in order; a few are read at the same time."""
    with ThreadPoolExecutor(READ_AT_ONCE) as readers:
        reading: deque[Future[Result]] = deque()
        left = iter(numbers)
        while True:
            reading.extend(readers.submit(read, number) for number in islice(left, READ_AT_ONCE - len(reading)))
            if not reading:
                return
            yield reading.popleft().result()


def read_part(uri: str, read: Callable[[BinaryIO], Result]) -> Result | None:
    """Return `read` of a Parquet file; None where the file is damaged."""
    try:
        return storage.read_from(uri, read)
    except (InputError, StorageError):
        # Arrow reports damage and a broken connection alike. Read from memory, only damage fails.
        content = pa.BufferReader(storage.read_bytes(uri))
    try:
        return read(cast(BinaryIO, content))
    except (pa.ArrowException, OSError):
        return None


def _name(number: int) -> str:
    return f"part-{number:05}.parquet"


def _first_row(footer: pq.FileMetaData) -> int | None:
    """The number of the first row of a table that numbers them."""
    bounds = _bounds(footer.row_group(0)) if footer.num_row_groups else None
    return None if bounds is None else bounds[0]


def _holds(uri: str, first_row: int, num_rows: int) -> bool:
    """Whether a file is a table of `num_rows` rows that, where it numbers them, begin with `first_row`."""
    footer: pq.FileMetaData | None = read_part(uri, pq.read_metadata)
    if footer is None or footer.num_rows != num_rows:
        return False
    bounds = [_bounds(footer.row_group(number)) for number in range(footer.num_row_groups)]
    numbered = [each for each in bounds if each is not None]
    return not numbered or (numbered[0][0], numbered[-1][1]) == (first_row, first_row + num_rows - 1)


def _bounds(rows: pq.RowGroupMetaData) -> tuple[int, int] | None:
    """The first and the last row number of a row group; None where its rows are not numbered."""
    column = rows.column(0)
    if column.path_in_schema != "row" or not column.is_stats_set:
        return None
    return column.statistics.min, column.statistics.max
