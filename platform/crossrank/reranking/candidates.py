"""Candidates of queries, from a TREC run or from BM25, as rows of the corpus.

Shape letters: Q queries of one block, C candidates of one query.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore, Usable
from crossrank.formats.run_columns import RunColumns, read_run_columns
from crossrank.formats.set_aside import SetAside
from crossrank.formats.trec import say_contradicted
from crossrank.records import Reason, Reject, Rejected
from crossrank.retrieval.bm25 import Bm25Index
from crossrank.retrieval.first_stage import language_of, open_bm25
from crossrank.storage.node_cache import filling, writable_cache

SPILL_QUERIES = 4096
"""Queries whose candidates share a spill file: what is sorted in memory at once."""

SPILLED = np.dtype(
    [("query", np.int32), ("document", np.int32), ("rank", np.int32), ("score", np.float64), ("line", np.int64)]
)


class CandidateHits(NamedTuple):
    """Candidates of one query, best first."""

    rows_C: NDArray[np.int32]
    scores_C: NDArray[np.float64]


class FirstStage(Protocol):
    """A source of candidates for every query."""

    @property
    def language(self) -> str | None:
        """Language of the analyser, with the reason; None where texts are not analysed."""

    def found(self, query_rows: Sequence[int]) -> list[CandidateHits]:
        """Candidates of these queries, which are neighbours in ascending order."""

    def num_pairs(self) -> int:
        """Number of pairs of all queries together; an upper bound where they are not counted yet."""


@dataclass(frozen=True, slots=True)
class Bm25Candidates:
    """A first stage that takes the best passages by BM25."""

    index: Bm25Index
    queries: TextStore
    depth: int
    num_queries: int
    num_usable: int
    language: str
    """Language in which the passages were analysed, with the reason."""

    @classmethod
    def build(
        cls, queries: TextStore, corpus: TextStore, depth: int, language: str, num_queries: int
    ) -> Bm25Candidates:
        """Index the corpus, after saying how much memory it takes; refused where that is not there."""
        chosen = language_of(corpus, language)
        num_usable = int((corpus.usable(slice(None)) == Usable.YES).sum())
        return cls(open_bm25(corpus, chosen), queries, depth, num_queries, num_usable, str(chosen))

    def found(self, query_rows: Sequence[int]) -> list[CandidateHits]:
        hits = self.index.search(self.queries.texts(query_rows), self.depth)
        return [CandidateHits(rows, scores.astype(np.float64)) for rows, scores in hits]

    def num_pairs(self) -> int:
        return self.num_queries * min(self.depth, self.num_usable)


class RunCandidates:
    """A first stage from a TREC run: its documents by descending score, then by rank, then by order in the file.

    The lines of a run come in any order and may be more than memory holds, so they are spilled by query to files
    of fixed size, and each file is then sorted and cut to `depth`.
    """

    language = None

    def __init__(self, folder: tempfile.TemporaryDirectory[str], num_pairs: int) -> None:
        self._folder = folder  # removed when this object goes
        self._num_pairs = num_pairs
        self._number = -1
        self._load(0)

    @classmethod
    def read(
        cls, uri: str, queries: TextStore, corpus: TextStore, depth: int, num_queries: int, reject: Reject
    ) -> RunCandidates:
        """Read a run. Lines that name what is not there, or a document twice, are rejected, as are documents that
        cannot be scored."""
        folder = _spill_folder()
        for lines in read_run_columns(uri, reject):
            spilled = _look_up(uri, lines, queries, corpus, num_queries, reject)
            bins = spilled["query"] // SPILL_QUERIES
            for number in np.unique(bins):
                with filling(Path(folder.name)), open(Path(folder.name) / f"{number}.bin", "ab") as file:
                    spilled[bins == number].tofile(file)
        num_pairs = num_read = num_contradicted = 0
        for path in sorted(Path(folder.name).iterdir()):
            records = np.fromfile(path, dtype=SPILLED)
            records = records[np.lexsort((records["line"], records["rank"], -records["score"], records["query"]))]
            repeated = _repeated(records)
            for record in records[repeated]:
                [query_id], [doc_id] = queries.ids([record["query"]]), corpus.ids([record["document"]])
                detail = f"the run names {doc_id} twice for this query; the better place is kept"
                reject(Rejected(uri, int(record["line"]), query_id, Reason.DUPLICATE_ID, detail))
            records = records[~repeated]
            read, contradicted = _contradicted(records)
            num_read += read
            num_contradicted += contradicted
            records = _first_ones(records, depth)
            with filling(Path(folder.name)):
                records.tofile(path)
            num_pairs += len(records)
        say_contradicted(uri, num_contradicted, num_read)
        return cls(folder, num_pairs)

    def found(self, query_rows: Sequence[int]) -> list[CandidateHits]:
        return [self._found(row) for row in query_rows]

    def num_pairs(self) -> int:
        return self._num_pairs

    def _found(self, query_row: int) -> CandidateHits:
        self._load(query_row // SPILL_QUERIES)
        place = query_row % SPILL_QUERIES
        mine = self._records[self._starts[place] : self._starts[place + 1]]
        return CandidateHits(mine["document"].copy(), mine["score"].copy())

    def _load(self, number: int) -> None:
        if self._number != number:
            path = Path(self._folder.name) / f"{number}.bin"
            self._number = number
            self._records = np.fromfile(path, SPILLED) if path.exists() else np.empty(0, dtype=SPILLED)
            queries = np.arange(SPILL_QUERIES + 1) + number * SPILL_QUERIES
            self._starts = np.searchsorted(self._records["query"], queries)


def _spill_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder beside the caches: the system's own temporary folder may be small, or lie in memory."""
    parent = storage.cache_folder() / "spill"
    with writable_cache(parent):
        return tempfile.TemporaryDirectory(dir=parent, prefix="run-")


def refuse_run_without_candidates(uri: str, queries: TextStore, corpus: TextStore, num_queries: int) -> None:
    """Refuse a run of which no line can be reranked, with the first reason; reads up to the first that can.

    Args:
        num_queries: number of the queries that are reranked, from the first on.
    """
    set_aside = SetAside()
    for lines in read_run_columns(uri, set_aside):
        if len(_look_up(uri, lines, queries, corpus, num_queries, set_aside)):
            return
    what = "candidates" if num_queries == len(queries) else f"candidates of the first {num_queries:,} queries"
    raise set_aside.nothing_usable(uri, what, "check that the run belongs to these queries and this corpus")


def _repeated(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Mask of the records that name a document of their query again. `records` are sorted by query, the best first."""
    pair_keys = records["query"].astype(np.int64) << 32 | records["document"]
    _, first_places = np.unique(pair_keys, return_index=True)
    repeated = np.ones(len(records), dtype=bool)
    repeated[first_places] = False
    return repeated


def _contradicted(records: NDArray[np.void]) -> tuple[int, int]:
    """Number of queries, and of those of which a rank is lower than one before it.

    Args:
        records: records sorted by query and score, each document of a query once.
    """
    is_same_query = records["query"][1:] == records["query"][:-1]
    is_lower = records["rank"][1:] < records["rank"][:-1]
    return len(np.unique(records["query"])), len(np.unique(records["query"][1:][is_same_query & is_lower]))


def _first_ones(records: NDArray[np.void], depth: int) -> NDArray[np.void]:
    """The first `depth` records of each query. `records` are sorted by query, the best first."""
    place_in_query = np.arange(len(records)) - np.searchsorted(records["query"], records["query"])
    return records[place_in_query < depth]


def _look_up(
    uri: str, lines: RunColumns, queries: TextStore, corpus: TextStore, num_queries: int, reject: Reject
) -> NDArray[np.void]:
    """The lines of a run as rows of queries and corpus; lines that cannot be used are rejected."""
    query_rows_L, document_rows_L = _rows(queries, lines.query_ids_L), _rows(corpus, lines.doc_ids_L)
    usable_L = corpus.usable(np.maximum(document_rows_L, 0)) if len(corpus) else np.zeros(len(lines.lines_L), np.uint8)
    is_good_L = (query_rows_L != UNKNOWN) & (document_rows_L != UNKNOWN) & (usable_L == Usable.YES)
    for place in np.flatnonzero(~is_good_L):
        query_id, doc_id = lines.query_ids_L[place].as_py(), lines.doc_ids_L[place].as_py()
        if query_rows_L[place] == UNKNOWN:
            reason, what = Reason.UNKNOWN_QUERY, f"the queries have no {query_id}"
        elif document_rows_L[place] == UNKNOWN:
            reason, what = Reason.UNKNOWN_DOCUMENT, f"the corpus has no {doc_id}"
        else:
            reason, what = Reason.EMPTY_DOCUMENT, f"document {doc_id} has no text"
        reject(Rejected(uri, int(lines.lines_L[place]), query_id, reason, what))
    is_wanted_L = is_good_L & (query_rows_L < num_queries)  # a query beyond --limit is left out, not rejected
    spilled = np.empty(int(is_wanted_L.sum()), dtype=SPILLED)
    spilled["query"] = query_rows_L[is_wanted_L]
    spilled["document"] = document_rows_L[is_wanted_L]
    spilled["line"] = lines.lines_L[is_wanted_L]
    spilled["rank"] = lines.ranks_L[is_wanted_L]
    spilled["score"] = lines.scores_L[is_wanted_L]
    return spilled


def _rows(store: TextStore, ids_L: pa.Array) -> NDArray[np.int32]:
    """Rows of ids in a store. Shape (L,). Each id is looked up once, as many lines have the same."""
    encoded = ids_L.dictionary_encode()
    return store.rows(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()]
