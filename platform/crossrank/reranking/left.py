"""The work that is left of a job: blocks that have no part, and queries of finished parts to score again.

A server that did not answer may answer now, so evaluate asks it again. The part that lacks answers stays until its
replacement is written, and a query that has scores is not asked for again: whatever the second try brings, the part has
at least the answers that it had.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crossrank.records import Reason
from crossrank.resumable.layout import Layout
from crossrank.resumable.parts import read_ahead, read_part


@dataclass(frozen=True, slots=True)
class Left:
    """The blocks to score, whole or in part."""

    lacking: frozenset[int]
    """Numbers of the blocks that have no whole part."""
    unanswered: dict[int, int]
    """Number of queries to score again, by the number of their part."""

    @classmethod
    def of(cls, layout: Layout, num_blocks: int, rows_of_blocks: Sequence[int] | None, asks_again: bool) -> Left:
        """Look at the parts that are there.

        Args:
            rows_of_blocks: number of queries in block 0, 1, ...; None where the plan is gone.
            asks_again: whether queries whose scores were no finite numbers are left, too.
        """
        lacking = layout.lacking_parts(num_blocks, rows_of_blocks)
        there = set(range(num_blocks)) - lacking
        return cls(frozenset(lacking), _unanswered(layout, there) if asks_again else {})

    def __bool__(self) -> bool:
        return bool(self.lacking or self.unanswered)

    def rows(self, rows_of_blocks: Sequence[int]) -> dict[int, int]:
        """Number of queries to score, by the number of their block, in order."""
        left = {number: rows_of_blocks[number] for number in self.lacking} | self.unanswered
        return dict(sorted(left.items()))


class CompletedPart(NamedTuple):
    """A part as it is written."""

    part: pa.Table
    new: pa.Table
    """Rows of the part that were scored just now."""


def complete_part(block: pa.Table, before: pa.Table | None, score: Callable[[pa.Table], pa.Table]) -> CompletedPart:
    """Score a block whole, or those of its queries that have no scores in the part that is there.

    Args:
        before: the part that is there; None scores the whole block.
        score: gives the rows of a part for those of a block.
    """
    if before is None:
        whole = score(block)
        return CompletedPart(whole, whole)
    lacks_scores = _lacks_scores(before)
    asked = block.filter(lacks_scores)
    new = score(asked).cast(before.schema) if len(asked) else before.slice(0, 0)
    return CompletedPart(pa.concat_tables([before.filter(pc.invert(lacks_scores)), new]).sort_by("row"), new)


def _unanswered(layout: Layout, numbers: Collection[int]) -> dict[int, int]:
    """Number of queries without scores, by the number of a part that has any. Damaged parts are skipped."""

    def count(number: int) -> int:
        part = read_part(layout.part(number), _reasons)
        return 0 if part is None else int(pc.sum(_lacks_scores(part)).as_py() or 0)

    in_order = sorted(numbers)
    counts = zip(in_order, read_ahead(in_order, count), strict=True)
    return {number: found for number, found in counts if found}


def _reasons(file: BinaryIO) -> pa.Table:
    return pq.ParquetFile(file).read(columns=["reason"])


def _lacks_scores(part: pa.Table) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(part["reason"], str(Reason.SCORE_NOT_FINITE)), False)
