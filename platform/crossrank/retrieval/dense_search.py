"""Work of a dense first stage: encoding shards of a corpus, and searching shards for queries.

Each piece of work writes one file, whole, under a name of its own: a retry writes the same file again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from crossrank.corpus.source import CorpusSource
from crossrank.resumable.block_job import Figures
from crossrank.resumable.blocks import do_blocks
from crossrank.resumable.layout import read_table, write_table
from crossrank.retrieval.dense import DenseIndex, Hits
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.vectors import VectorStore
from crossrank.storage.lease import Lease
from crossrank.storage.retries import with_retries
from crossrank.telemetry.job_metrics import PASSAGES

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

HITS_SCHEMA = pa.schema([pa.field("rows", pa.list_(pa.int32())), pa.field("scores", pa.list_(pa.float32()))])
"""Columns of a search's file, one row a query: its passages as rows of the corpus, best first, with their scores."""


@dataclass(frozen=True, slots=True)
class EncodeShards:
    """Encodes the passages of a shard; a `BlockJob` whose numbers are those of the shards."""

    corpus: CorpusSource
    encoder: EncoderSpec
    vectors: VectorStore

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Load the encoder."""
        corpus = self.corpus.open()
        encoder = self.encoder.load(threads)
        return lambda shard: {"passages": with_retries(lambda: self.vectors.make(shard, corpus, encoder))}


def encode_missing(job: EncodeShards, pool: Pool, lease: Lease) -> None:
    """Have the shards encoded that have no vectors yet."""

    def count(figures: Figures) -> None:
        PASSAGES.add(figures["passages"])

    vectors = job.vectors
    do_blocks(job, dict.fromkeys(vectors.missing(), 1), vectors.num_shards, "shards encoded", pool, lease, count)


class Searches(Protocol):
    """The searches to do, by number. It pickles."""

    def queries(self, number: int) -> list[str]:
        """The queries of a search."""

    def shards(self, number: int) -> Iterable[int]:
        """The shards that are searched."""

    def file(self, number: int) -> str:
        """The file for the hits of a search."""


@dataclass(frozen=True, slots=True)
class SearchShards:
    """Searches shards for queries; a `BlockJob` whose numbers are those of the searches."""

    corpus: CorpusSource
    encoder: EncoderSpec
    vectors: VectorStore
    depth: int
    """Passages that are kept for a query."""
    searches: Searches

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Load the encoder."""
        corpus = self.corpus.open()
        encoder = self.encoder.load(threads)

        def search(number: int) -> Figures:
            queries = with_retries(lambda: self.searches.queries(number))
            shards = with_retries(lambda: self.vectors.open(self.searches.shards(number), corpus))
            hits = DenseIndex(encoder, shards).search(queries, self.depth)
            with_retries(lambda: write_hits(self.searches.file(number), hits))
            return {"queries": len(queries)}

        return search


def write_hits(uri: str, hits: Hits) -> None:
    """Write hits to a file."""
    columns = {"rows": [rows for rows, _ in hits], "scores": [scores for _, scores in hits]}
    write_table(uri, pa.table(columns, schema=HITS_SCHEMA))


def read_hits(uri: str) -> Hits:
    """Read the hits that `write_hits` wrote."""
    return [
        (np.array(row["rows"], dtype=np.int32), np.array(row["scores"], dtype=np.float32))
        for row in read_table(uri).to_pylist()
    ]
