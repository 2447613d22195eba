"""Candidates from groups, which carry them and their labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore, Usable
from crossrank.evaluation.facts import INJECTED, text_of, with_facts
from crossrank.evaluation.relevance import is_relevant
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats.document_order import initial_order, is_ranked
from crossrank.formats.group_files import read_group_files
from crossrank.formats.repeated import each_once, highest_labels
from crossrank.records import Candidate, Group, Reason, Reject, Rejected, document_text
from crossrank.retrieval.query_documents import AskedQuery


class GroupCandidates:
    """Candidates and labels of groups, checked and ranked."""

    first_stage = "as the groups have it"

    def __init__(self, settings: EvaluateSettings, corpus: TextStore | None, reject: Reject) -> None:
        assert settings.groups is not None
        self._uri = storage.absolute(settings.groups)
        self._limit = settings.limit
        self._depth = settings.depth
        self._corpus = corpus
        self._reject = reject
        self._keeps = settings.keep_query_document
        self.has_order = True
        self.retrieved = 0
        """Documents of the first stage so far."""
        self.dropped = 0
        """Documents that were the query itself so far."""

    def groups(self) -> Iterator[Group]:
        num_taken = 0
        seen: set[str] = set()
        for file, line, group in read_group_files(self._uri, self._reject):
            if self._limit is not None and num_taken >= self._limit:
                return
            docs, lost = self._usable(file, line, group)
            fault = self._fault(group, docs, seen)
            if fault is not None:
                self._reject(Rejected(file, line, group.query_id, *fault))
                continue
            seen.add(group.query_id)
            num_taken += 1
            docs = self._without_query(group, docs)
            self.has_order = self.has_order and is_ranked(docs)
            retrieved, injected = self._divided(group.query_id, docs)
            self.retrieved += len(retrieved)
            yield with_facts(group, [*retrieved, *injected], len(retrieved), lost, self._text)

    def _divided(self, query_id: str, docs: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """The documents down to the depth, and the judged ones behind it."""
        ordered = [docs[place] for place in initial_order(query_id, docs, lambda place: self._text(docs[place]))]
        injected = [replace(doc, source=INJECTED) for doc in ordered[self._depth :] if doc.label is not None]
        return ordered[: self._depth], injected

    def _without_query(self, group: Group, docs: list[Candidate]) -> list[Candidate]:
        if self._keeps:
            return docs
        query = AskedQuery.of(group.query_id, group.query)
        kept = [doc for doc in docs if is_relevant(doc.label) or not query.found_in(doc.doc_id, *self._texts(doc))]
        self.dropped += len(docs) - len(kept)
        return kept

    def _usable(self, file: str, line: int, group: Group) -> tuple[list[Candidate], dict[str, float]]:
        """The documents that every model can score, without flagged ones, and the labels of the others."""
        docs = [doc for doc in group.docs if not doc.flags]
        rows = self._corpus.rows([doc.doc_id for doc in docs]).tolist() if self._corpus else [UNKNOWN] * len(docs)
        faults = [self._fault_of(doc, row) for doc, row in zip(docs, rows, strict=True)]
        once = each_once(docs, [place for place, fault in enumerate(faults) if fault is None])
        for reason, detail in [*filter(None, faults), *((Reason.DUPLICATE_ID, each) for each in once.repeated)]:
            self._reject(Rejected(file, line, group.query_id, reason, detail))
        kept = {each.doc.doc_id: each.doc for each in once.kept}
        labels = highest_labels(docs).items()
        lost = {doc_id: label for doc_id, label in labels if label is not None and doc_id not in kept}
        return list(kept.values()), lost

    def _fault_of(self, doc: Candidate, row: int) -> tuple[Reason, str] | None:
        if doc.text is None and row == UNKNOWN:
            where = "the corpus does not have it" if self._corpus else "there is no --corpus to look it up in"
            return Reason.UNKNOWN_DOCUMENT, f"document {doc.doc_id} has no text, and {where}"
        if doc.text is not None:
            is_empty = not doc.own_text
        else:
            assert self._corpus is not None, "a row of a corpus"
            is_empty = self._corpus.usable(np.array([row]))[0] == Usable.EMPTY
        return (Reason.EMPTY_DOCUMENT, f"document {doc.doc_id} has no text") if is_empty else None

    def _fault(self, group: Group, docs: list[Candidate], seen: set[str]) -> tuple[Reason, str] | None:
        if group.query_id in seen:
            return Reason.DUPLICATE_ID, "an earlier group has this query id; that one is kept"
        if not group.query.strip():
            return Reason.EMPTY_QUERY, "the query is empty or white space"
        if not any(is_relevant(doc.label) for doc in docs):
            return Reason.NO_POSITIVE, "no document that can be used is labelled above 0"
        return None

    def _texts(self, doc: Candidate) -> list[str]:
        """The text of a document without its title and with it."""
        if doc.text is not None:
            return [doc.text, document_text(doc.title, doc.text)]
        assert self._corpus is not None, "what has no text is of a corpus"
        row = self._corpus.rows([doc.doc_id]).tolist()
        return [*self._corpus.texts_without_title(row), *self._corpus.texts(row)]

    def _text(self, doc: Candidate) -> str | None:
        if doc.text is not None:
            return doc.own_text
        return text_of(self._corpus, doc.doc_id) if self._corpus else None
