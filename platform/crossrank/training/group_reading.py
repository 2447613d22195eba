"""Checks of a group as it is read from its file: which documents can be used, and whether they make a group."""

from __future__ import annotations

import numpy as np

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore, Usable
from crossrank.errors import InputError
from crossrank.formats.document_order import initial_order
from crossrank.formats.repeated import each_once
from crossrank.records import Candidate, Group, Reason, Reject, Rejected, document_text
from crossrank.training.labelled_twice import Positives

FLOAT32_MAX = float(np.finfo(np.float32).max)


def is_positive(doc: Candidate) -> bool:
    """Whether a document is labelled above 0."""
    return doc.label is not None and doc.label > 0


def text_of(doc: Candidate, corpus_row: int, corpus: TextStore | None) -> str:
    """The text of a document that the model reads, its title in front.

    Args:
        corpus_row: row of the document in the corpus, where it comes without its text.
    """
    if doc.text is not None:
        return document_text(doc.title, doc.text)
    assert corpus is not None, "a row was found in it"
    return corpus.texts([corpus_row])[0]


def fault_of(doc: Candidate, corpus_row: int, corpus: TextStore | None) -> tuple[Reason, str] | None:
    """The reason why a document has no text, and a sentence about it; None where it has one.

    Args:
        corpus_row: row of the document in the corpus, where it comes without its text.
    """
    if doc.text is not None:
        return None if doc.own_text else (Reason.EMPTY_DOCUMENT, f"document {doc.doc_id} has no text")
    if corpus is None or corpus_row == UNKNOWN:
        return Reason.UNKNOWN_DOCUMENT, f"document {doc.doc_id} has no text, and the corpus lacks it"
    is_empty = corpus.usable(np.array([corpus_row]))[0] == Usable.EMPTY
    return (Reason.EMPTY_DOCUMENT, f"document {doc.doc_id} has no text in the corpus") if is_empty else None


class GroupReading:
    """One group under check: the documents of it that can be used, and whether they make a group.

    Args:
        corpus: store in which documents without text are looked up.
        positives: positives of all groups, for training; None for validation.
        place: file, line and query id of the group.
    """

    def __init__(
        self,
        needs_teacher: bool,
        corpus: TextStore | None,
        positives: Positives | None,
        place: tuple[str, int, str],
        group: Group,
        reject: Reject,
    ) -> None:
        self.kept: list[tuple[Candidate, int]] = []
        """Usable documents, each with its row of the corpus; `UNKNOWN` for one that brings its text."""
        self._needs_teacher = needs_teacher
        self._corpus = corpus
        self._positives = positives
        self._place = place
        self._group = group
        self._reject = reject

    def is_usable(self) -> bool:
        """Whether the group can be used. Fills `kept`, or sets the group aside with its reason."""
        if not self._group.query.strip():
            return self._set_aside(Reason.EMPTY_QUERY, "the query is empty or white space")
        wanted = [doc for doc in self._group.docs if not doc.flags and self._is_judged(doc)]
        known = self._corpus.rows([doc.doc_id for doc in wanted]).tolist() if self._corpus else None
        usable = []
        for place, doc in enumerate(wanted):
            if doc.text is None and known is None:
                raise InputError(
                    f"{self._place[0]} line {self._place[1]} names document {doc.doc_id} without its text; "
                    f"give the --corpus that has it"
                )
            fault = fault_of(doc, UNKNOWN if known is None else known[place], self._corpus)
            if fault is None:
                usable.append(place)
            else:
                self._set_aside(*fault)
        once = each_once(wanted, usable)
        for detail in once.repeated:
            self._set_aside(Reason.DUPLICATE_ID, detail)
        self.kept = [
            (each.doc, UNKNOWN if known is None or each.doc.text is not None else known[each.content])
            for each in once.kept
        ]
        if self._positives is not None:
            self._drop_what_is_positive_too(self._positives)
        return self._makes_a_group()

    def in_initial_order(self) -> list[tuple[Candidate, int]]:
        """The documents of `kept` in the order that breaks ties; see `crossrank.formats.document_order`."""
        _, _, query_id = self._place
        docs = [doc for doc, _ in self.kept]
        order = initial_order(query_id, docs, lambda place: text_of(*self.kept[place], self._corpus))
        return [self.kept[place] for place in order]

    def _drop_what_is_positive_too(self, positives: Positives) -> None:
        """Leave out negatives whose text is a positive of this query, in this group or in another."""
        negatives = [(doc, row) for doc, row in self.kept if not is_positive(doc)]
        texts = [text_of(doc, row, self._corpus) for doc, row in negatives]
        among = positives.among(self._group.query, texts)
        dropped = {doc.doc_id for (doc, _), is_positive in zip(negatives, among, strict=True) if is_positive}
        for doc_id in sorted(dropped):
            detail = f"document {doc_id} is labelled 0, and its text is labelled above 0 for this query"
            self._set_aside(Reason.LABELLED_BOTH_WAYS, detail)
        self.kept = [each for each in self.kept if each[0].doc_id not in dropped]

    def _is_judged(self, doc: Candidate) -> bool:
        return self._positives is None or doc.label is not None

    def _makes_a_group(self) -> bool:
        labels = [doc.label for doc, _ in self.kept]
        if not any(is_positive(doc) for doc, _ in self.kept):
            return self._set_aside(Reason.NO_POSITIVE, "no document that can be used is labelled above 0")
        if self._positives is not None and not any(label is not None and label <= 0 for label in labels):
            return self._set_aside(Reason.NO_NEGATIVE, "no document that can be used is labelled 0")
        return not self._needs_teacher or self._is_taught()

    def _is_taught(self) -> bool:
        """Whether every document has a score of the teacher that a float32 holds."""
        for doc, _ in self.kept:
            if doc.teacher_score is None:
                return self._set_aside(Reason.NO_TEACHER_SCORE, f"document {doc.doc_id} has no teacher_score")
            if abs(doc.teacher_score) > FLOAT32_MAX:
                detail = f"document {doc.doc_id} has the teacher_score {doc.teacher_score:g}; use one up to 3.4e38"
                return self._set_aside(Reason.SCORE_NOT_FINITE, detail)
        return True

    def _set_aside(self, reason: Reason, detail: str) -> bool:
        self._reject(Rejected(*self._place, reason, detail))
        return False
