"""Candidates by the vectors of an encoder, alone or fused with BM25.

The vectors of a corpus are the files that `crossrank mine` makes and keeps too, so either uses those of the other.
Workers encode what is missing and then search for the judged queries, in chunks of hundreds; each result is a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.corpus.store import TextStore
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.reranking.candidates import Bm25Candidates, CandidateHits
from crossrank.resumable.blocks import do_blocks
from crossrank.retrieval.dense_search import EncodeShards, SearchShards, encode_missing, read_hits
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.fusion import reciprocal_ranks
from crossrank.retrieval.vectors import VectorStore
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import say

CHUNK_QUERIES = 512
"""Judged queries that are searched for together."""
DTYPE = "float32"


@dataclass(frozen=True, slots=True)
class ChunkSearches:
    """The judged queries in chunks, each searched in the whole corpus; see `retrieval.dense_search.Searches`."""

    source: QuerySource
    rows: tuple[int, ...]
    """The judged queries, in ascending order."""
    num_shards: int
    folder: str
    """Folder for the results, a file a chunk."""

    def __len__(self) -> int:
        return -(-len(self.rows) // CHUNK_QUERIES)

    def missing(self) -> list[int]:
        """Numbers of the chunks whose results are missing."""
        return [number for number in range(len(self)) if not storage.exists(self.file(number))]

    def queries(self, number: int) -> list[str]:
        return self.source.open().texts(self.rows[number * CHUNK_QUERIES : (number + 1) * CHUNK_QUERIES])

    def shards(self, number: int) -> range:
        return range(self.num_shards)

    def file(self, number: int) -> str:
        return storage.join(self.folder, f"found-{number:05}.parquet")


class DenseCandidates:
    """The nearest passages of each query."""

    language = None

    def __init__(self, searches: ChunkSearches, most: int) -> None:
        """Read the results of the searches.

        Args:
            most: documents of a query, at most.
        """
        self._searches = searches
        self._rows_Q = np.array(searches.rows)
        self._most = most

    @classmethod
    def find(
        cls,
        settings: EvaluateSettings,
        encoder: EncoderSpec,
        corpus: CorpusSource,
        queries: QuerySource,
        query_rows: Sequence[int],
        folder: str,
        lease: Lease,
    ) -> DenseCandidates:
        """Encode the part of the corpus that has no vectors yet, and search the whole.

        Args:
            folder: folder for the results; a chunk whose result is there is not searched again.
            lease: lease that keeps other jobs from the folder.

        Raises:
            CorpusTooLarge: the disk does not hold the vectors.
        """
        from crossrank.resumable import on_ray

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
        pool = on_ray.start_workers(settings.wanted(), settings.places(), encoder.process_bytes)
        encoder = encoder.on(pool.device)
        encode_missing(EncodeShards(corpus, encoder, vectors), pool, lease)
        searches = ChunkSearches(queries, tuple(query_rows), vectors.num_shards, folder)
        job = SearchShards(corpus, encoder, vectors, settings.depth, searches)
        do_blocks(job, dict.fromkeys(searches.missing(), 1), len(searches), "searches", pool, lease, lambda _: None)
        return cls(searches, min(settings.depth, vectors.num_rows))

    def found(self, query_rows: Sequence[int]) -> list[CandidateHits]:
        places = np.searchsorted(self._rows_Q, query_rows)
        hits: dict[int, list[CandidateHits]] = {}
        for number in np.unique(places // CHUNK_QUERIES).tolist():
            hits[number] = [
                CandidateHits(rows_C, scores_C.astype(np.float64))
                for rows_C, scores_C in read_hits(self._searches.file(number))
            ]
        return [hits[place // CHUNK_QUERIES][place % CHUNK_QUERIES] for place in places.tolist()]

    def num_pairs(self) -> int:
        return len(self._rows_Q) * self._most


@dataclass(frozen=True, slots=True)
class FusedCandidates:
    """Candidates of BM25 and of an encoder as one ranking, by their ranks alone."""

    bm25: Bm25Candidates
    dense: DenseCandidates
    depth: int

    @property
    def language(self) -> str:
        return self.bm25.language

    def found(self, query_rows: Sequence[int]) -> list[CandidateHits]:
        both = zip(self.bm25.found(query_rows), self.dense.found(query_rows), strict=True)
        return [_fused([each.rows_C for each in rankings], self.depth) for rankings in both]

    def num_pairs(self) -> int:
        return max(self.bm25.num_pairs(), self.dense.num_pairs())


def _fused(rankings: list[NDArray[np.int32]], depth: int) -> CandidateHits:
    rows_C, scores_C = reciprocal_ranks(rankings)
    return CandidateHits(rows_C[:depth], scores_C[:depth])


def _vectors(corpus: TextStore, encoder: EncoderSpec, folder: str) -> VectorStore:
    """The files of the corpus's vectors, where every worker reaches them."""
    # Other nodes of a cluster do not see this machine's cache.
    root = folder if os.environ.get("RAY_ADDRESS") else str(storage.cache_folder() / "embeddings")
    name = f"{corpus.key}-{encoder.passages_key}-{DTYPE}"
    return VectorStore(storage.join(root, name), len(corpus), encoder.dimensions, DTYPE)
