"""Dense retrieval: exact search by the inner product of vectors, over a corpus that is kept in shards on disk.

The vectors of a corpus are made once for each encoder and kept: a shard is a file of vectors in the order of the
corpus, mapped into memory and read through from its beginning to its end for a batch of queries.

Shape letters: Q queries, N rows of the corpus, S rows of a shard, C candidates of one query, W dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import SettingsError
from crossrank.retrieval.bm25 import best
from crossrank.retrieval.encoder import Encoder

QUERIES_AT_ONCE = 256
"""Queries that are compared with a shard together, so that it is read from disk once for them all."""
POOL_GROWTH = 4
"""Multiple of the candidates that are wanted at which a pool of them is cut back."""


class Shard(NamedTuple):
    """Neighbouring rows of a corpus."""

    first_row: int
    vectors_SW: NDArray[np.floating]
    """Vectors of the rows, float32 or float16, mapped from disk."""
    usable_S: NDArray[np.bool_]
    """Mask of rows that may be found: not those without text, nor those whose id an earlier row has."""


Hits = list[tuple[NDArray[np.int32], NDArray[np.float32]]]
"""Rows and scores of each query, best first, as `Bm25Index.search` gives them."""


@dataclass(frozen=True, slots=True)
class DenseIndex:
    """A corpus as vectors, to search."""

    encoder: Encoder
    shards: Sequence[Shard]

    def search(self, queries: Sequence[str], depth: int) -> Hits:
        """The best passages of each query.

        Args:
            depth: passages wanted for a query, at least 1. There are fewer where the corpus has fewer.

        Returns:
            For each query the rows and the scores, both of shape (C,), C <= `depth`: scores descending, equal ones by
            ascending row, at the cut as well.
        """
        return [hits for chunk in _chunks(queries) for hits in search(self.encoder.queries(chunk), self.shards, depth)]


def search(queries_QW: NDArray[np.float32], shards: Sequence[Shard], depth: int) -> Hits:
    """The best rows of these shards for each query vector.

    Exact: a product in float32 decides which rows may be among the best, by more than its error can be, and those are
    compared by products in float64. So a score does not depend on the queries beside it, on how the corpus is cut into
    shards, nor on the threads that multiplied.

    Returns:
        As `DenseIndex.search`; rows are those of the corpus.
    """
    if depth < 1:
        raise SettingsError(f"the depth is {depth}, and a search wants at least 1 passage a query; set --depth")
    pool = _Pool(len(queries_QW), depth)
    norms_Q = np.linalg.norm(queries_QW, axis=1)
    for shard in shards:
        vectors_SW = np.asarray(shard.vectors_SW, dtype=np.float32)
        scores_QS = queries_QW @ vectors_SW.T
        scores_QS[:, ~shard.usable_S] = -np.inf
        # A sum of W products, each rounded, is off by no more than this.
        error_Q = queries_QW.shape[1] * np.finfo(np.float32).eps * norms_Q * _longest(vectors_SW)
        pool.add(scores_QS, shard.first_row, error_Q.astype(np.float32))
    query_C, row_C = pool.candidates()
    starts_Q = np.searchsorted(query_C, np.arange(len(queries_QW) + 1))
    hits: Hits = []
    for query_W, start, end in zip(queries_QW, starts_Q, starts_Q[1:], strict=False):
        rows = row_C[start:end].astype(np.int32)
        products = _vectors(shards, rows).astype(np.float64) * query_W.astype(np.float64)
        # A sum along a row adds in the same order however many rows there are; a product of matrices may not.
        hits.append(best(rows, products.sum(axis=1).astype(np.float32), depth))
    return hits


def merge(parts: Sequence[Hits], depth: int) -> Hits:
    """Merge the hits of several parts of a corpus. The parts have the same queries, and no row twice."""
    return [
        best(np.concatenate([rows for rows, _ in found]), np.concatenate([scores for _, scores in found]), depth)
        for found in zip(*parts, strict=True)
    ]


def _longest(vectors_SW: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.einsum("sw,sw->s", vectors_SW, vectors_SW).max(initial=0.0)))


def _vectors(shards: Sequence[Shard], rows_C: NDArray[np.int32]) -> NDArray[np.floating]:
    """The vectors of these rows, which ascend. Shape (C, W)."""
    ends = np.searchsorted(rows_C, [shard.first_row for shard in shards[1:]])
    parts = np.split(rows_C, ends)
    found = [shard.vectors_SW[rows - shard.first_row] for shard, rows in zip(shards, parts, strict=True) if len(rows)]
    return np.concatenate(found) if found else np.empty((0, shards[0].vectors_SW.shape[1]), dtype=np.float32)


class _Pool:
    """Rows that may be among the best of their query."""

    def __init__(self, num_queries: int, depth: int) -> None:
        self._depth = depth
        self._bound_Q = np.full(num_queries, -np.inf, dtype=np.float32)
        """Lower bound of the best scores: a row whose true score is lower is not among them."""
        self._error_Q = np.zeros(num_queries, dtype=np.float32)
        """Largest error of any score so far."""
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []

    def add(self, scores_QS: NDArray[np.float32], first_row: int, error_Q: NDArray[np.float32]) -> None:
        """Take the rows of a shard that may be among the best."""
        self._error_Q = np.maximum(self._error_Q, error_Q)
        is_in = self._may_be_best(scores_QS)
        if is_in.sum() > self._much() and scores_QS.shape[1] >= self._depth:
            place = scores_QS.shape[1] - self._depth
            self._raise_bound(np.partition(scores_QS, place, axis=1)[:, place])
            is_in = self._may_be_best(scores_QS)
        query_C, column_C = np.nonzero(is_in)
        self._parts.append((query_C, column_C + first_row, scores_QS[query_C, column_C]))
        if sum(len(queries) for queries, _, _ in self._parts) > self._much():
            self._cut_back()

    def candidates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Queries and rows, by query and then by row."""
        self._cut_back()
        [(query_C, row_C, _)] = self._parts
        order = np.lexsort((row_C, query_C))
        return query_C[order], row_C[order]

    def _much(self) -> int:
        return POOL_GROWTH * self._depth * len(self._bound_Q)

    def _may_be_best(self, scores_QS: NDArray[np.float32]) -> NDArray[np.bool_]:
        return (scores_QS >= (self._bound_Q - self._error_Q)[:, None]) & (scores_QS > -np.inf)

    def _raise_bound(self, at_cut_Q: NDArray[np.float32]) -> None:
        """Raise the bound: there are `depth` rows with these scores or better."""
        self._bound_Q = np.maximum(self._bound_Q, at_cut_Q - self._error_Q)

    def _cut_back(self) -> None:
        """Drop the rows that can no longer be among the best."""
        none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))
        query_C, row_C, score_C = (np.concatenate(columns) for columns in zip(none, *self._parts, strict=True))
        order = np.lexsort((-score_C, query_C))
        query_C, row_C, score_C = query_C[order], row_C[order], score_C[order]
        starts_Q = np.searchsorted(query_C, np.arange(len(self._bound_Q)))
        counts_Q = np.bincount(query_C, minlength=len(self._bound_Q))
        at_cut_Q = np.full(len(self._bound_Q), -np.inf, dtype=np.float32)
        full = counts_Q >= self._depth
        at_cut_Q[full] = score_C[starts_Q[full] + self._depth - 1]
        self._raise_bound(at_cut_Q)
        kept = score_C >= (self._bound_Q - self._error_Q)[query_C]
        self._parts = [(query_C[kept], row_C[kept], score_C[kept])]


def _chunks(queries: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        yield queries[start : start + QUERIES_AT_ONCE]
