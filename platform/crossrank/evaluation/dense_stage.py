"""Candidates by the vectors of an encoder, alone or fused with BM25.

The vectors of a corpus are the files that `crossrank mine` makes and keeps, so either finds those of the other. Workers
encode what is missing, and then search for the judged queries, some hundreds at a time; each result is a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.corpus.store import TextStore
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.reranking.candidates import Bm25Candidates, Found
from crossrank.resumable.layout import read_table, write_table
from crossrank.retrieval.dense import DenseIndex
from crossrank.retrieval.encoder import Encoder, EncoderSpec
from crossrank.retrieval.fusion import reciprocal_ranks
from crossrank.retrieval.vectors import VectorStore
from crossrank.telemetry.progress import Progress, say

CHUNK_QUERIES = 512
"""Judged queries that are searched for together."""
DTYPE = "float32"
FOUND_SCHEMA = pa.schema([pa.field("rows", pa.list_(pa.int32())), pa.field("scores", pa.list_(pa.float32()))])


@dataclass(frozen=True, slots=True)
class DenseTask:
    """All that a worker needs to know."""

    corpus: CorpusSource
    queries: QuerySource
    query_rows: tuple[int, ...]
    """The judged queries, in ascending order."""
    encoder: EncoderSpec
    vectors: VectorStore
    depth: int
    folder: str
    """Where what was found goes."""
    environment: dict[str, str]

    def found(self, number: int) -> str:
        """What was found for the queries of a chunk."""
        return storage.join(self.folder, f"found-{number:05}.parquet")

    @property
    def num_chunks(self) -> int:
        return -(-len(self.query_rows) // CHUNK_QUERIES)


class DenseWorker:
    """Encodes and searches in this process. What it needs is loaded at its first use."""

    def __init__(self, task: DenseTask, threads: int | None) -> None:
        self._task = task
        self._threads = threads

    def do(self, kind: str, number: int) -> None:
        """``encode`` a shard of the corpus, or ``search`` for a chunk of the queries."""
        task = self._task
        if kind == "encode":
            task.vectors.make(number, self._corpus, self._encoder)
            return
        rows = task.query_rows[number * CHUNK_QUERIES : (number + 1) * CHUNK_QUERIES]
        shards = task.vectors.open(range(task.vectors.num_shards), self._corpus)
        hits = DenseIndex(self._encoder, shards).search(self._queries.texts(rows), task.depth)
        columns = {"rows": [rows_C for rows_C, _ in hits], "scores": [scores_C for _, scores_C in hits]}
        write_table(task.found(number), pa.table(columns, schema=FOUND_SCHEMA))

    @cached_property
    def _corpus(self) -> TextStore:
        return self._task.corpus.open()

    @cached_property
    def _queries(self) -> TextStore:
        return self._task.queries.open()

    @cached_property
    def _encoder(self) -> Encoder:
        return self._task.encoder.load(self._threads)


class DenseCandidates:
    """The nearest passages of each query."""

    language = None

    def __init__(self, task: DenseTask) -> None:
        self._task = task
        self._rows_Q = np.array(task.query_rows)

    @classmethod
    def find(
        cls,
        settings: EvaluateSettings,
        encoder: EncoderSpec,
        corpus: CorpusSource,
        queries: QuerySource,
        query_rows: Sequence[int],
        folder: str,
    ) -> DenseCandidates:
        """Encode what of the corpus has no vectors yet, and search it.

        Args:
            folder: where what is found is kept; a chunk that is there is not searched again.

        Raises:
            CorpusTooLarge: the disk does not hold the vectors.
        """
        from crossrank.cluster import on_ray as cluster
        from crossrank.evaluation import on_ray

        store = corpus.open()
        vectors = _vectors(store, encoder, folder)
        missing = vectors.missing()
        vectors.refuse_too_large(
            len(missing),
            "name an --output on a larger disk"
            if vectors.folder.startswith(folder)
            else "set CROSSRANK_CACHE to a folder on a larger disk",
        )
        if missing:
            storage.check_writable(vectors.uri(0))
        say(
            f"vectors of {len(store):,} passages take {vectors.num_bytes / 1e6:,.0f} MB in {vectors.folder}, "
            f"{vectors.num_shards - len(missing):,} of {vectors.num_shards:,} files are there"
        )
        cluster.connect()
        cluster.refuse_private_disks(settings.places())
        pool = cluster.pool(settings.wanted(), encoder.process_bytes)
        say(f"workers: {pool.workers}")
        task = DenseTask(
            corpus,
            queries,
            tuple(query_rows),
            encoder.on(None if pool.gpus else "cpu"),
            vectors,
            settings.depth,
            folder,
            cluster.environment(),
        )
        chunks = [number for number in range(task.num_chunks) if not storage.exists(task.found(number))]
        for kind, numbers, what in (("encode", missing, "shards encoded"), ("search", chunks, "searches")):
            with Progress(what, len(numbers)) as progress:
                for _ in on_ray.run_dense(task, kind, numbers, pool) if numbers else ():
                    progress.advance(1)
        return cls(task)

    def found(self, query_rows: Sequence[int]) -> list[Found]:
        places = np.searchsorted(self._rows_Q, query_rows)
        hits: dict[int, list[Found]] = {}
        for number in np.unique(places // CHUNK_QUERIES).tolist():
            hits[number] = _read(self._task.found(number))
        return [hits[place // CHUNK_QUERIES][place % CHUNK_QUERIES] for place in places.tolist()]

    def num_pairs(self) -> int:
        return len(self._rows_Q) * min(self._task.depth, self._task.vectors.num_rows)


@dataclass(frozen=True, slots=True)
class FusedCandidates:
    """BM25 and an encoder's passages as one ranking, by their ranks alone."""

    bm25: Bm25Candidates
    dense: DenseCandidates
    depth: int

    @property
    def language(self) -> str:
        return self.bm25.language

    def found(self, query_rows: Sequence[int]) -> list[Found]:
        both = zip(self.bm25.found(query_rows), self.dense.found(query_rows), strict=True)
        return [_fused([each.rows_C for each in rankings], self.depth) for rankings in both]

    def num_pairs(self) -> int:
        return max(self.bm25.num_pairs(), self.dense.num_pairs())


def _fused(rankings: list[NDArray[np.int32]], depth: int) -> Found:
    rows_C, scores_C = reciprocal_ranks(rankings)
    return Found(rows_C[:depth], scores_C[:depth])


def _vectors(corpus: TextStore, encoder: EncoderSpec, folder: str) -> VectorStore:
    """The files of the corpus's vectors, where every worker reaches them."""
    # Other nodes of a cluster do not see this machine's cache.
    root = folder if os.environ.get("RAY_ADDRESS") else str(storage.cache_folder() / "embeddings")
    name = f"{corpus.key}-{encoder.passages_key}-{DTYPE}"
    return VectorStore(storage.join(root, name), len(corpus), encoder.dimensions, DTYPE)


def _read(uri: str) -> list[Found]:
    return [
        Found(np.array(row["rows"], dtype=np.int32), np.array(row["scores"], dtype=np.float64))
        for row in read_table(uri).to_pylist()
    ]
