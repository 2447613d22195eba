"""Makes blocks, the unit of work, of retry and of resuming, from queries, a corpus and candidates.

A block is a run of neighbouring queries with their candidates as corpus rows: no text of the corpus is copied.
A row that cannot be used is set aside, with its file and line.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from crossrank.corpus.ids import UNKNOWN, IdIndex, hash_id
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.corpus.store import TextStore, Usable, refuse_empty
from crossrank.formats.document_order import has_ranks, initial_order
from crossrank.formats.group_files import read_group_files
from crossrank.formats.group_order import glancing
from crossrank.formats.repeated import KeptDocument, each_once
from crossrank.formats.set_aside import SetAside
from crossrank.records import Candidate, Group, Reason, Reject, Rejected
from crossrank.reranking.candidates import Bm25Candidates, FirstStage, RunCandidates, refuse_run_without_candidates
from crossrank.reranking.layout import PREPARED_SCHEMA
from crossrank.reranking.settings import RerankSettings
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.first_stage import language_of

CHUNK_QUERIES = 512
"""Queries whose candidates are fetched together."""
SAMPLE_PAIRS = 256

PreparedRow = dict[str, Any]
"""A row of `PREPARED_SCHEMA`."""


class RerankWork(Protocol):
    """The queries to rerank with their candidates, read and counted, but not yet written as blocks."""

    num_read: int
    """Queries in the input, those that cannot be used among them."""
    num_queries: int
    """Queries that are prepared."""
    num_pairs: int
    """Pairs; exact for runs, an upper bound for groups (some documents may be set aside) and for BM25."""

    @property
    def language(self) -> str | None:
        """Language of the first stage, with the reason; None where texts are not analysed."""

    def sample(self) -> list[tuple[str, str]]:
        """Pairs like those that will be scored, to measure the speed with."""

    def rows(self, reject: Reject) -> Iterator[PreparedRow]:
        """Every query once, in order, with its candidates."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The places of the inputs; None for one that the job does not have."""

    queries: QuerySource | None
    corpus: CorpusSource | None


def refuse_unusable(settings: RerankSettings, sources: Sources) -> None:
    """Refuse inputs of which nothing could be scored, and a language that is not known, before anything is written.

    Looks no further than the first pair that can be scored.
    """
    corpus = sources.corpus.open() if sources.corpus else None
    if corpus is not None:
        refuse_empty(corpus, settings.corpus or "", "documents")
    if settings.groups is not None:
        GroupWork(settings.groups, corpus, settings.depth, settings.limit).refuse_unusable()
        return
    assert corpus is not None, "settings ask for a corpus beside queries"
    assert sources.queries is not None, "settings ask for queries or groups"
    queries = sources.queries.open()
    refuse_empty(queries, settings.queries or "", "queries")
    if settings.candidates == "bm25":
        analyser(language_of(corpus, settings.language).value)
    else:
        num_queries = min(len(queries), settings.limit or len(queries))
        refuse_run_without_candidates(settings.candidates, queries, corpus, num_queries)


def read_work(settings: RerankSettings, sources: Sources, reject: Reject) -> RerankWork:
    """Read the inputs: convert corpus and queries, index or look up the candidates."""
    corpus = sources.corpus.open() if sources.corpus else None
    if corpus is not None:
        refuse_empty(corpus, settings.corpus or "", "documents")
        for row in corpus.rejected():
            reject(row)
    if settings.groups is not None:
        return GroupWork.read(settings.groups, corpus, settings.depth, settings.limit)
    assert corpus is not None, "settings ask for a corpus beside queries"
    assert sources.queries is not None, "settings ask for queries or groups"
    queries = sources.queries.open()
    refuse_empty(queries, settings.queries or "", "queries")
    num_rows = min(len(queries), settings.limit or len(queries))
    num_unreadable = 0
    for row in _up_to(queries, num_rows):
        if row.reason is not Reason.EMPTY_QUERY:  # these are prepared, and reach the output with their reason
            reject(row)
        num_unreadable += row.reason in (Reason.MALFORMED, Reason.INVALID_UTF8)
    stage: FirstStage
    if settings.candidates == "bm25":
        stage = Bm25Candidates.build(queries, corpus, settings.depth, settings.language, num_rows)
    else:
        stage = RunCandidates.read(settings.candidates, queries, corpus, settings.depth, num_rows, reject)
    return QueryWork(queries, corpus, stage, num_rows, num_rows + num_unreadable)


def _up_to(queries: TextStore, num_rows: int) -> Iterator[Rejected]:
    """The rejected rows that stand before the end of the first `num_rows` readable ones."""
    last = queries.place(num_rows - 1) if num_rows < len(queries) else None
    for row in queries.rejected():
        if last is None or (row.source, row.line or 0) <= last:  # files are read in the order of their names
            yield row


class QueryWork:
    """Queries over a corpus, with a first stage."""

    def __init__(self, queries: TextStore, corpus: TextStore, stage: FirstStage, num_rows: int, num_read: int) -> None:
        self._queries = queries
        self._corpus = corpus
        self._stage = stage
        prepared = queries.usable(slice(0, num_rows)) != Usable.DUPLICATE
        self._rows = np.flatnonzero(prepared)
        self.num_read = num_read
        self.num_queries = len(self._rows)
        self.num_pairs = stage.num_pairs()
        self.language = stage.language

    def sample(self) -> list[tuple[str, str]]:
        rng = np.random.default_rng(0)
        usable = np.flatnonzero(self._corpus.usable(slice(None)) == Usable.YES)
        queries = self._queries.texts(rng.choice(self._rows, SAMPLE_PAIRS).tolist())
        documents = self._corpus.texts(rng.choice(usable, SAMPLE_PAIRS).tolist())
        return list(zip(queries, documents, strict=True))

    def rows(self, reject: Reject) -> Iterator[PreparedRow]:
        row_number = 0
        for start in range(0, len(self._rows), CHUNK_QUERIES):
            chunk = self._rows[start : start + CHUNK_QUERIES].tolist()
            ids, texts = self._queries.ids(chunk), self._queries.texts(chunk)
            places = map(self._queries.place, chunk)
            for (source, line), query_id, text, found in zip(places, ids, texts, self._stage.found(chunk), strict=True):
                has_text = bool(text.strip())
                reason = None if len(found.rows_C) else Reason.NO_CANDIDATES
                yield {
                    "row": row_number,
                    "source": source,
                    "line": line,
                    "query_id": query_id,
                    "query": text,
                    "reason": reason if has_text else Reason.EMPTY_QUERY,
                    "corpus_rows": found.rows_C if has_text else [],
                    "doc_ids": None,
                    "texts": None,
                    "initial_ranks": np.arange(1, len(found.rows_C) + 1) if has_text else [],
                    "initial_scores": found.scores_C if has_text else [],
                    "labels": None,
                }
                row_number += 1


class GroupWork:
    """Groups that carry their candidates, with texts or as ids of a corpus."""

    language = None

    def __init__(self, uri: str, corpus: TextStore | None, depth: int, limit: int | None) -> None:
        """Name the groups; nothing is read yet."""
        self._uri = uri
        self._corpus = corpus
        self._depth = depth
        self._limit = limit
        self._sample: list[tuple[str, str]] = []
        self._duplicates: set[int] = set()
        self.num_pairs = 0
        self.num_read = 0
        self.num_queries = 0

    @classmethod
    def read(cls, uri: str, corpus: TextStore | None, depth: int, limit: int | None) -> GroupWork:
        """Read the groups and count them. Refuses those of which nothing can be scored."""
        work = cls(uri, corpus, depth, limit)
        with glancing():
            work.refuse_unusable()
        hashes = array("Q")
        unreadable = SetAside()
        for _, _, group in work._groups(unreadable):
            hashes.append(hash_id(group.query_id))
            work.num_pairs += min(len(group.docs), depth)
            if len(work._sample) < SAMPLE_PAIRS:
                work._sample += [(group.query, text) for text in map(work._text, group.docs[:8]) if text]
        work._duplicates = {row for row, _ in IdIndex.of_hashes(hashes)[1]}
        work.num_read = len(hashes) + unreadable.counts.total()
        work.num_queries = len(hashes) - len(work._duplicates)
        return work

    def refuse_unusable(self) -> None:
        """Refuse groups of which no document can be scored, with the first reason; reads up to the first that can."""
        set_aside = SetAside()
        for file, line, group in self._groups(set_aside):
            row = self._row(0, file, line, group, set_aside)
            if row["reason"] is None:
                return
            if not group.query.strip():
                set_aside(Rejected(file, line, group.query_id, Reason.EMPTY_QUERY, "the query is empty or white space"))
            elif not group.docs:
                set_aside(Rejected(file, line, group.query_id, Reason.NO_CANDIDATES, "the group has no documents"))
        raise set_aside.nothing_usable(self._uri, "group")

    def sample(self) -> list[tuple[str, str]]:
        return self._sample[:SAMPLE_PAIRS] or [("query", "document")]

    def rows(self, reject: Reject) -> Iterator[PreparedRow]:
        row_number = 0
        for place, (file, line, group) in enumerate(self._groups(reject)):
            if place in self._duplicates:
                detail = "an earlier group has this query id; that one is kept"
                reject(Rejected(file, line, group.query_id, Reason.DUPLICATE_ID, detail))
                continue
            yield self._row(row_number, file, line, group, reject)
            row_number += 1

    def _groups(self, reject: Reject) -> Iterator[tuple[str, int, Group]]:
        return islice(read_group_files(self._uri, reject), self._limit)

    def _row(self, row_number: int, file: str, line: int, group: Group, reject: Reject) -> PreparedRow:
        docs = group.docs if group.query.strip() else ()
        corpus_rows = self._corpus.rows([doc.doc_id for doc in docs]) if self._corpus and docs else None
        rows_of_docs = [
            UNKNOWN if doc.text is not None or corpus_rows is None else int(corpus_rows[place])
            for place, doc in enumerate(docs)
        ]
        faults = [self._fault(doc, corpus_row) for doc, corpus_row in zip(docs, rows_of_docs, strict=True)]
        once = each_once(docs, [place for place, fault in enumerate(faults) if fault is None])
        for reason, detail in [*filter(None, faults), *((Reason.DUPLICATE_ID, each) for each in once.repeated)]:
            reject(Rejected(file, line, group.query_id, reason, detail))
        kept = self._ordered(group.query_id, once.kept)
        kept = kept[: self._depth]  # cut after documents are set aside, as in a run
        reason_of_query = None if kept else Reason.NO_CANDIDATES
        return {
            "row": row_number,
            "source": file,
            "line": line,
            "query_id": group.query_id,
            "query": group.query,
            "reason": reason_of_query if group.query.strip() else Reason.EMPTY_QUERY,
            "corpus_rows": [rows_of_docs[each.content] for _, each in kept],
            "doc_ids": [each.doc.doc_id for _, each in kept],
            "texts": [each.doc.own_text for _, each in kept],
            "initial_ranks": [rank for rank, _ in kept],
            "initial_scores": [each.doc.score for _, each in kept],
            "labels": [each.doc.label for _, each in kept],
        }

    def _ordered(self, query_id: str, once: list[KeptDocument]) -> list[tuple[int | None, KeptDocument]]:
        """The documents in their initial order, each with its initial rank.

        Where the group gives no rank, it is the place in the list or, for labelled documents, in the order by a hash.
        """
        docs = [each.doc for each in once]
        kept = [once[place] for place in initial_order(query_id, docs, lambda place: self._text(docs[place]))]
        if has_ranks(docs):
            return [(each.doc.rank, each) for each in kept]
        if any(doc.label is not None for doc in docs):
            return list(enumerate(kept, start=1))
        return [(each.place + 1, each) for each in kept]

    def _text(self, doc: Candidate) -> str | None:
        if doc.text is not None or self._corpus is None:
            return doc.own_text
        [row] = self._corpus.rows([doc.doc_id])
        return self._corpus.texts([int(row)])[0] if row != UNKNOWN else None

    def _fault(self, doc: Candidate, corpus_row: int) -> tuple[Reason, str] | None:
        """The reason why one document is set aside; None when it is good."""
        if doc.text is None and corpus_row == UNKNOWN:
            where = "the corpus does not have it" if self._corpus else "there is no --corpus to look it up in"
            return Reason.UNKNOWN_DOCUMENT, f"document {doc.doc_id} has no text, and {where}"
        is_empty = (
            not doc.own_text
            if doc.text is not None
            else self._corpus is not None and self._corpus.usable(np.array([corpus_row]))[0] == Usable.EMPTY
        )
        return (Reason.EMPTY_DOCUMENT, f"document {doc.doc_id} has no text") if is_empty else None


def blocks(rows: Iterator[PreparedRow], queries_per_block: int) -> Iterator[pa.Table]:
    """Yield tables of `PREPARED_SCHEMA`, each with `queries_per_block` queries but the last."""
    while block := list(islice(rows, queries_per_block)):
        yield pa.Table.from_pylist(block, schema=PREPARED_SCHEMA)
