"""Work of a mining job beside encoding: searches for the queries of a block, and mining for its groups.

Each piece of work writes one file, whole, under a name of its own: a retry writes the same file again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pyarrow.compute as pc

from crossrank.corpus.source import CorpusSource
from crossrank.derived import Derived
from crossrank.mining.group_search import Rules
from crossrank.mining.layout import MineLayout
from crossrank.mining.mine_block import mine_block
from crossrank.mining.passages import Passages
from crossrank.resumable.block_job import Figures
from crossrank.resumable.layout import read_table, write_table
from crossrank.retrieval.dense import Hits, merge
from crossrank.retrieval.dense_search import read_hits
from crossrank.retrieval.first_stage import open_bm25
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.retries import with_retries

SUMMED = ("mined", "pairs", "tokens", "truncated")
"""Statistics of groups that the figures of a block sum up."""


@dataclass(frozen=True, slots=True)
class BlockSearches:
    """Searches for every block in every slice of the corpus; a `Searches`.

    They go slice by slice, so that all workers read the same part of the vectors, which memory holds.
    """

    layout: MineLayout
    slices: tuple[tuple[int, int], ...]
    """Range of shards of each slice of the corpus, the end excluded."""
    num_blocks: int

    def __len__(self) -> int:
        return len(self.slices) * self.num_blocks

    def slice_and_block(self, number: int) -> tuple[int, int]:
        """The slice and the block of a search."""
        return divmod(number, self.num_blocks)

    def missing(self, blocks: Collection[int]) -> list[int]:
        """The searches for these blocks that have no file yet."""
        there = self.layout.finished_searches()
        numbers = {number: self.slice_and_block(number) for number in range(len(self))}
        return [number for number, each in numbers.items() if each[1] in blocks and each not in there]

    def queries(self, number: int) -> list[str]:
        _, block = self.slice_and_block(number)
        queries: list[str] = read_table(self.layout.block(block), ["query"])["query"].to_pylist()
        return queries

    def shards(self, number: int) -> range:
        slice_, _ = self.slice_and_block(number)
        return range(*self.slices[slice_])

    def file(self, number: int) -> str:
        return self.layout.found(*self.slice_and_block(number))


@dataclass(frozen=True, slots=True)
class MineBlocks:
    """Mines for the groups of a block; a `BlockJob`."""

    layout: MineLayout
    corpus: CorpusSource
    language: str
    rules: Rules
    num_slices: int
    """Slices of the corpus that were searched for each block; 0 without an encoder."""
    teacher: ScorerSpec | None

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Open the corpus and its index, and load the teacher if there is one."""
        corpus = self.corpus.open()
        passages = Passages(corpus)
        bm25 = open_bm25(corpus, Derived(self.language, "as the job began"))
        teacher = None if self.teacher is None else self.teacher.load(threads)

        def mine(number: int) -> Figures:
            block = with_retries(lambda: read_table(self.layout.block(number)))
            part, dropped = mine_block(block, passages, bm25, self._found(number), teacher, self.rules)
            with_retries(lambda: write_table(self.layout.dropped(number), dropped))
            with_retries(lambda: write_table(self.layout.part(number), part))
            stats = part["stats"].combine_chunks()
            return {"groups": len(part), **{name: pc.sum(stats.field(name)).as_py() or 0 for name in SUMMED}}

        return mine

    def _found(self, number: int) -> Hits | None:
        if not self.num_slices:
            return None
        files = [self.layout.found(slice_, number) for slice_ in range(self.num_slices)]
        return merge(with_retries(lambda: [read_hits(file) for file in files]), self.rules.depth)
