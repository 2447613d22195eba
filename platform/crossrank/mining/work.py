"""What a worker that mines can do: encode a shard of the corpus, search a slice of it, mine for a block of groups.

Each writes one file, whole, under a name of its own: a retry writes the same file again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crossrank.corpus.source import CorpusSource
from crossrank.corpus.store import TextStore
from crossrank.derived import Chosen
from crossrank.mining.group_search import Rules
from crossrank.mining.layout import FOUND_SCHEMA, Layout
from crossrank.mining.mine_block import mine_block
from crossrank.mining.passages import Passages
from crossrank.resumable.layout import read_table, write_table
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.dense import QUERIES_AT_ONCE, Hits, merge, search
from crossrank.retrieval.encoder import Encoder, EncoderSpec
from crossrank.retrieval.first_stage import open_bm25
from crossrank.retrieval.vectors import VectorStore
from crossrank.scoring.interfaces import Scorer
from crossrank.scoring.spec import ScorerSpec
from crossrank.telemetry.job_context import work_for

SUMMED = ("mined", "pairs", "tokens", "truncated")
"""Statistics of a group that are told of a block."""
Figures = dict[str, Any]
"""What was done, in numbers."""


@dataclass(frozen=True, slots=True)
class Task:
    """All that a worker needs to know, small enough to be sent to each."""

    layout: Layout
    corpus: CorpusSource
    language: str
    rules: Rules
    encoder: EncoderSpec | None
    vectors: VectorStore | None
    """None where there is no encoder."""
    slices: tuple[tuple[int, int], ...]
    """Shards from and up to which a slice of the corpus reaches."""
    teacher: ScorerSpec | None
    environment: dict[str, str]


class Worker:
    """Does items of work in this process. What it needs is loaded at its first use."""

    def __init__(self, task: Task, threads: int | None) -> None:
        work_for(task.environment)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._task = task
        self._threads = threads

    def do(self, kind: str, *numbers: int) -> Figures:
        """Do one item: ``encode`` SHARD, ``search`` SLICE BLOCK, or ``mine`` BLOCK."""
        acts: dict[str, Callable[..., Figures]] = {
            "encode": self._encode,
            "search": self._search,
            "mine": self._mine,
        }
        return acts[kind](*numbers)

    def _encode(self, number: int) -> Figures:
        assert self._task.vectors is not None, "only where there is an encoder"
        return {"passages": self._task.vectors.make(number, self._corpus, self._encoder)}

    def _search(self, slice_: int, number: int) -> Figures:
        assert self._task.vectors is not None, "only where there is an encoder"
        layout = self._task.layout
        queries = read_table(layout.block(number), ["query"])["query"].to_pylist()
        shards = self._task.vectors.open(range(*self._task.slices[slice_]), self._corpus)
        hits: Hits = []
        vectors_QW = self._encoder.queries(queries)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            hits += search(vectors_QW[start : start + QUERIES_AT_ONCE], shards, self._task.rules.depth)
        columns = {"rows": [rows for rows, _ in hits], "scores": [scores for _, scores in hits]}
        write_table(layout.found(slice_, number), pa.table(columns, schema=FOUND_SCHEMA))
        return {"queries": len(queries)}

    def _mine(self, number: int) -> Figures:
        layout = self._task.layout
        block = read_table(layout.block(number))
        part, dropped = mine_block(
            block, self._passages, self._bm25, self._found(number), self._teacher, self._task.rules
        )
        write_table(layout.dropped(number), dropped)
        write_table(layout.part(number), part)
        stats = part["stats"].combine_chunks()
        return {"groups": len(part), **{name: pc.sum(stats.field(name)).as_py() or 0 for name in SUMMED}}

    def _found(self, number: int) -> Hits | None:
        if self._task.encoder is None:
            return None
        tables = [read_table(self._task.layout.found(slice_, number)) for slice_ in range(len(self._task.slices))]
        return merge([_hits_of(table) for table in tables], self._task.rules.depth)

    @cached_property
    def _corpus(self) -> TextStore:
        return self._task.corpus.open()

    @cached_property
    def _passages(self) -> Passages:
        return Passages(self._corpus)

    @cached_property
    def _bm25(self) -> Bm25Index:
        return open_bm25(self._corpus, Chosen(self._task.language, "as the job began"))

    @cached_property
    def _encoder(self) -> Encoder:
        assert self._task.encoder is not None, "only where there is one"
        return self._task.encoder.load(self._threads)

    @cached_property
    def _teacher(self) -> Scorer | None:
        return None if self._task.teacher is None else self._task.teacher.load(self._threads)


def _hits_of(table: pa.Table) -> Hits:
    return [
        (np.array(row["rows"], dtype=np.int32), np.array(row["scores"], dtype=np.float32)) for row in table.to_pylist()
    ]
