"""Candidates of queries over a corpus: what a first stage finds, and what is judged.

Shape letters: C candidates of one query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.store import Usable
from crossrank.errors import InputError
from crossrank.evaluation.facts import INJECTED, text_of, with_facts
from crossrank.evaluation.first_stage import FirstStageInputs
from crossrank.evaluation.inputs import queries_of
from crossrank.evaluation.judgements import file_of, read_judgements
from crossrank.evaluation.relevance import is_relevant
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats.document_order import initial_order
from crossrank.records import Candidate, Group, Reason, Reject, Rejected
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.query_documents import AskedQuery
from crossrank.storage.lease import Lease

CHUNK_QUERIES = 512
"""Queries whose candidates are looked up together."""


class QueryCandidates:
    """Candidates of judged queries over a corpus: those of a first stage, and judged documents that it missed."""

    has_order = True

    def __init__(
        self,
        settings: EvaluateSettings,
        corpus: CorpusSource,
        reject: Reject,
        encoder: EncoderSpec | None,
        folder: str,
        lease: Lease,
    ) -> None:
        assert settings.queries is not None
        assert settings.qrels is not None
        self._corpus = corpus.open()
        for row in self._corpus.rejected():
            reject(row)
        source = queries_of(settings)
        self._queries = source.open()
        for row in self._queries.rejected():
            reject(row)
        self._qrels = file_of(storage.absolute(settings.qrels))
        self._labels = read_judgements(self._qrels, reject)
        self._limit = settings.limit
        self._depth = settings.depth
        self._keeps = settings.keep_query_document
        self._reject = reject
        self.retrieved = 0
        """Documents of the first stage so far."""
        self.dropped = 0
        """Candidates that were the query itself so far."""
        if not self._keeps:
            settings = replace(settings, depth=settings.depth + 1)  # one more, since the query itself may be left out
        self._rows = self._rows_of_judged()
        self._refuse_another_corpus()
        inputs = FirstStageInputs(
            settings, source, self._queries, corpus, self._corpus, self._rows, encoder, folder, lease
        )
        self._stage, self.first_stage = inputs.stage(reject)

    def groups(self) -> Iterator[Group]:
        rows = self._rows
        for start in range(0, len(rows), CHUNK_QUERIES):
            chunk = rows[start : start + CHUNK_QUERIES]
            ids, texts = self._queries.ids(chunk), self._queries.texts(chunk)
            for query_id, text, found in zip(ids, texts, self._stage.found(chunk), strict=True):
                asked = AskedQuery.of(query_id, text)
                kept = [not left_out for left_out in self._left_out(asked, found.rows_C.tolist())]
                self.dropped += kept.count(False)
                doc_ids = self._corpus.ids(found.rows_C[kept].tolist())
                retrieved = list(zip(doc_ids, found.scores_C[kept].tolist(), strict=True))[: self._depth]
                self.retrieved += len(retrieved)
                yield self._group(query_id, text, retrieved)

    def _left_out(self, asked: AskedQuery, rows: list[int]) -> list[bool]:
        """Whether each of these documents is the query itself, and not judged to be relevant all the same."""
        if self._keeps:
            return [False] * len(rows)
        labels = self._labels[asked.query_id]
        texts = zip(self._corpus.texts_without_title(rows), self._corpus.texts(rows), strict=True)
        return [
            not is_relevant(labels.get(doc_id)) and asked.found_in(doc_id, *of_doc) is not None
            for doc_id, of_doc in zip(self._corpus.ids(rows), texts, strict=True)
        ]

    def _rows_of_judged(self) -> list[int]:
        """Rows of the queries that are measured, in ascending order."""
        usable = self._queries.usable(slice(None)) == Usable.YES
        found = {}
        for query_id, row in zip(self._labels, self._queries.rows(list(self._labels)).tolist(), strict=True):
            if row == UNKNOWN or not usable[row]:
                detail = "is judged, and the queries lack it or have no text for it"
                self._set_aside(query_id, Reason.UNKNOWN_QUERY, detail)
            elif not any(map(is_relevant, self._labels[query_id].values())):
                self._set_aside(query_id, Reason.NO_POSITIVE, "no document is judged as relevant")
            else:
                found[row] = query_id
        return sorted(found)[: self._limit]

    def _refuse_another_corpus(self) -> None:
        """Refuse judgements of which nothing could be found: every measure would be 0, whatever is compared."""
        relevant: list[str] = []
        for start in range(0, len(self._rows), CHUNK_QUERIES):
            for query_id in self._queries.ids(self._rows[start : start + CHUNK_QUERIES]):
                relevant += [doc_id for doc_id, label in self._labels[query_id].items() if is_relevant(label)]
            if (self._corpus.rows(relevant) != UNKNOWN).any():
                return
        if relevant:
            raise InputError(
                f"the corpus has none of the {len(relevant):,} documents that {self._qrels} judges relevant, such as "
                f"{relevant[0]}, so every measure would be 0; check that both are of one collection: ids are compared "
                f"character by character"
            )

    def _group(self, query_id: str, query: str, retrieved: list[tuple[str, float]]) -> Group:
        labels = self._labels[query_id]
        found = [Candidate(doc_id, score=score, label=labels.get(doc_id)) for doc_id, score in retrieved]
        there = {doc_id for doc_id, _ in retrieved}
        missed = [doc_id for doc_id in labels if doc_id not in there]
        known = {
            doc_id: row
            for doc_id, row in zip(missed, self._corpus.rows(missed).tolist(), strict=True)
            if row != UNKNOWN and self._corpus.usable(np.array([row]))[0] == Usable.YES
        }
        elsewhere = {doc_id: labels[doc_id] for doc_id in missed if doc_id not in known}
        for doc_id in elsewhere:
            self._set_aside(query_id, Reason.UNKNOWN_DOCUMENT, f"document {doc_id} is judged, and the corpus lacks it")
        left_out = self._left_out(AskedQuery.of(query_id, query), list(known.values()))
        injected = [
            Candidate(doc_id, label=labels[doc_id], source=INJECTED)
            for doc_id, is_out in zip(known, left_out, strict=True)
            if not is_out
        ]

        def text(doc: Candidate) -> str | None:
            return text_of(self._corpus, doc.doc_id)

        # Judgements often have the relevant documents first.
        order = initial_order(query_id, injected, lambda place: text(injected[place]))
        injected = [injected[place] for place in order]
        return with_facts(Group(query_id, query), [*found, *injected], len(retrieved), elsewhere, text)

    def _set_aside(self, query_id: str, reason: Reason, detail: str) -> None:
        self._reject(Rejected(self._qrels, None, query_id, reason, detail))
