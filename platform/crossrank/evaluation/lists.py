"""Arrays of the candidates and their rankings: a million pairs are measured without an object for each.

Shape letters: Q queries, P pairs: the documents of all queries, end to end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.evaluation.candidates import WrittenCandidates
from crossrank.evaluation.facts import FACTS, Facts
from crossrank.evaluation.relevance import are_relevant, is_relevant
from crossrank.formats.group_rows import group_of
from crossrank.records import Group
from crossrank.resumable.layout import Layout

DOCUMENT_COLUMNS = ("doc_id", "label", "score")


@dataclass(frozen=True, slots=True)
class Lists:
    """The candidates of every query as they were written, in the order of the first stage."""

    groups: str
    """Place of the file of groups."""
    query_ids: list[str]
    facts: list[Facts]
    starts_Q: NDArray[np.int64]
    """Place of the first document of each query among the pairs; the last value is their number. Shape (Q + 1,)."""
    doc_ids_P: pa.Array
    labels_P: NDArray[np.float64]
    """Labels; NaN where unjudged."""
    scores_P: NDArray[np.float64]
    """Scores of the first stage; NaN where it has none."""
    relevant_from: float | None = None
    """The lowest label of a relevant document; None for any above 0."""

    @classmethod
    def read(cls, written: WrittenCandidates, relevant_from: float | None = None) -> Lists:
        """Read all candidates; they take about 30 bytes a document beside its id."""
        query_ids: list[str] = []
        facts: list[Facts] = []
        counts: list[NDArray[np.int64]] = []
        columns: dict[str, list[pa.Array]] = {name: [] for name in DOCUMENT_COLUMNS}
        wanted = ["query_id", "meta", *(f"docs.list.element.{name}" for name in DOCUMENT_COLUMNS)]
        with storage.open_seekable(written.groups) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(columns=wanted):
                query_ids += batch["query_id"].to_pylist()
                facts += [Facts(**json.loads(meta)[FACTS]) for meta in batch["meta"].to_pylist()]
                counts.append(_counts(batch["docs"]))
                flat = batch["docs"].flatten()
                for name in DOCUMENT_COLUMNS:
                    columns[name].append(flat.field(name))
        starts_Q = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        labels_P, scores_P = (_numbers(columns[name]) for name in ("label", "score"))
        doc_ids_P = pa.concat_arrays(columns["doc_id"])
        return cls(written.groups, query_ids, facts, starts_Q, doc_ids_P, labels_P, scores_P, relevant_from)

    @property
    def retrieved_Q(self) -> NDArray[np.int64]:
        """Number of documents of the first stage, which stand first."""
        return np.array([each.retrieved for each in self.facts], dtype=np.int64)

    @property
    def lengths_Q(self) -> NDArray[np.int64]:
        return np.diff(self.starts_Q)

    @property
    def is_relevant_P(self) -> NDArray[np.bool_]:
        return are_relevant(self.labels_P, self.relevant_from)

    @property
    def has_relevant_Q(self) -> NDArray[np.bool_]:
        """Whether a document of the query, or one that the corpus lacks, is judged relevant."""
        query_P = np.repeat(np.arange(len(self.facts)), self.lengths_Q)
        is_there_Q = np.bincount(query_P, self.is_relevant_P, len(self.facts)) > 0
        elsewhere_Q = [
            any(is_relevant(label, self.relevant_from) for label in each.elsewhere.values()) for each in self.facts
        ]
        return is_there_Q | np.array(elsewhere_Q, dtype=bool)

    @property
    def highest_label(self) -> float:
        """The highest of all labels, those of documents that the corpus lacks too."""
        elsewhere = [label for each in self.facts for label in each.elsewhere.values()]
        return float(np.nanmax(np.concatenate([self.labels_P, elsewhere, [-np.inf]])))

    def in_order(self) -> Rankings:
        """The order of the first stage, with its scores; a document without one has its rank below 0."""
        places_P = np.arange(len(self.labels_P)) - np.repeat(self.starts_Q[:-1], self.lengths_Q)
        nothing_Q = np.zeros(len(self.facts), dtype=bool)
        scores_P = np.where(np.isnan(self.scores_P), -1.0 - places_P, self.scores_P)
        return Rankings(places_P, scores_P, self.starts_Q, nothing_Q)

    def groups_at(self, queries: Iterable[int]) -> dict[int, Group]:
        """The groups of a few queries, with their texts, by the number of the query."""
        wanted = np.unique(np.fromiter(queries, dtype=np.int64))
        found: dict[int, Group] = {}
        first = 0
        with storage.open_seekable(self.groups) as stream:
            file = pq.ParquetFile(stream)
            for number in range(file.num_row_groups):
                end = first + file.metadata.row_group(number).num_rows
                chosen = wanted[(wanted >= first) & (wanted < end)]
                if len(chosen):
                    rows = file.read_row_group(number).take(pa.array(chosen - first)).to_pylist()
                    found |= {int(query): group_of(row) for query, row in zip(chosen, rows, strict=True)}
                first = end
        return found


@dataclass(frozen=True, slots=True)
class Rankings:
    """Rankings of all queries, by a model or by the first stage."""

    places_P: NDArray[np.int64]
    """Places of the documents in the list of their query, from 0, best first."""
    scores_P: NDArray[np.floating[Any]]
    starts_Q: NDArray[np.int64]
    """Starts as in `Lists`; a query may have fewer documents than in those."""
    is_missing_Q: NDArray[np.bool_]
    """Whether a query has documents and no scores."""

    @classmethod
    def read(cls, lists: Lists, folder: str) -> Rankings:
        """Read the output of a rerank job over these very groups.

        Raises:
            JobFailed: the output holds other queries.
        """
        layout = Layout(folder)
        parts = [_part(layout.part(number)) for number in sorted(layout.finished_parts())]
        query_ids = [query_id for part in parts for query_id in part["query_id"].to_pylist()]
        if query_ids != lists.query_ids:
            raise JobFailed(f"{folder} holds other queries than the candidates; run again with --overwrite")
        is_ok_Q = np.concatenate([pc.equal(part["status"], "ok").to_numpy() for part in parts])
        docs = [chunk for part in parts for chunk in part["docs"].chunks]
        flat = [chunk.flatten() for chunk in docs]
        lengths_Q = np.concatenate([_counts(chunk) for chunk in docs])
        ranks_P = np.concatenate([chunk.field("initial_rank").to_numpy(zero_copy_only=False) for chunk in flat])
        return cls(
            ranks_P.astype(np.int64) - 1,
            np.concatenate([chunk.field("score").to_numpy(zero_copy_only=False) for chunk in flat]).astype(np.float32),
            np.concatenate([[0], np.cumsum(lengths_Q)]),
            ~is_ok_Q & (lists.lengths_Q > 0),
        )

    def tie_rate(self) -> float:
        """Documents whose score another document of the same query has too, over all documents."""
        if not len(self.scores_P):
            return 0.0
        query_P = np.repeat(np.arange(len(self.starts_Q) - 1), np.diff(self.starts_Q))
        # Best first, so that equal scores are neighbours.
        is_as_before = (self.scores_P[1:] == self.scores_P[:-1]) & (query_P[1:] == query_P[:-1])
        is_tied_P = np.append(is_as_before, False) | np.append(False, is_as_before)
        return float(is_tied_P.mean())

    def lists(self) -> Iterator[NDArray[np.int64]]:
        """The places of each query in turn."""
        for start, end in zip(self.starts_Q, self.starts_Q[1:], strict=False):
            yield self.places_P[start:end]


def _part(uri: str) -> pa.Table:
    with storage.open_seekable(uri) as stream:
        wanted = ["query_id", "status", "docs.list.element.initial_rank", "docs.list.element.score"]
        return pq.ParquetFile(stream).read(columns=wanted)


def _counts(lists: pa.ListArray) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    return counts


def _numbers(arrays: list[pa.Array]) -> NDArray[np.float64]:
    """The values of arrays as one, with NaN for null."""
    found: NDArray[np.float64] = np.concatenate([each.to_numpy(zero_copy_only=False) for each in arrays])
    return found.astype(np.float64)
