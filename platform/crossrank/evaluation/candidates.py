"""What every model is asked to rank: one group a judged query, with what the first stage found and what was judged.

The groups are written once and are the input of a rerank job for each model, so all rows of the table are about the
very same documents. Judged documents that the first stage missed stand behind those it found (`injected`): measured
without them, a row says what a user would get; with them, what the model can tell apart.

Shape letters: C candidates of one query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.corpus.store import TextStore, Usable
from crossrank.errors import InputError
from crossrank.evaluation.first_stage import FirstStageInputs
from crossrank.evaluation.judgements import file_of, read_judgements
from crossrank.evaluation.relevance import is_relevant
from crossrank.evaluation.settings import STAGES, EvaluateSettings
from crossrank.fingerprints import fingerprint
from crossrank.formats import groups_parquet
from crossrank.formats.group_files import fingerprint_of_groups, read_group_files
from crossrank.order import by_hash, has_ranks, is_ranked
from crossrank.records import Candidate, Group, Reason, Reject, Rejected, document_text
from crossrank.retrieval.encoder import EncoderSpec
from crossrank.retrieval.query_documents import AskedQuery
from crossrank.set_aside import SetAside

INJECTED = "injected"
"""`source` of a document that the first stage did not find."""
FACTS = "evaluation"
"""Key of `Group.meta` for what the report wants to know of a query."""
CHUNK_QUERIES = 512


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a query beside its documents."""

    retrieved: int
    """Documents of the first stage, which stand first."""
    elsewhere: dict[str, float]
    """Labels of judged documents that are not among the documents: the corpus lacks them."""
    query_characters: int
    document_characters: int | None
    """Of the first document labelled above 0; None where no text is at hand."""
    source: str | None

    @classmethod
    def of(cls, group: Group) -> Facts:
        """What was written of a group."""
        return cls(**group.meta[FACTS])


@dataclass(frozen=True, slots=True)
class Written:
    """The candidates as they lie in the output."""

    groups: str
    corpus: str | None
    queries: int
    has_order: bool
    """Whether the documents stand in the order of a first stage; else in one by a hash."""
    first_stage: str
    """In words, for the report."""
    set_aside: dict[str, int]
    """Rows that could not be used, by reason."""
    is_hashed: bool = False
    """Whether what has no initial rank stands in an order by a hash; an earlier version left it as it was listed."""
    query_documents: int = 0
    """Candidates that were the query itself and were left out; 0 in outputs of versions that left none out."""


def fingerprints(settings: EvaluateSettings) -> dict[str, str]:
    """Of every input file, so that a report is gone on with only where they are the same."""
    found = {}
    if settings.groups is not None:
        found["groups"] = fingerprint_of_groups(storage.absolute(settings.groups))
    if settings.queries is not None:
        found["queries"] = QuerySource.fingerprint_of(storage.absolute(settings.queries))
    if settings.corpus is not None:
        found["corpus"] = CorpusSource.fingerprint_of(storage.absolute(settings.corpus))
    if settings.qrels is not None:
        found["qrels"] = fingerprint(file_of(storage.absolute(settings.qrels)))
    if settings.eval_csv is not None:
        found["eval_csv"] = fingerprint(storage.absolute(settings.eval_csv))
    if settings.candidates not in STAGES:
        found["candidates"] = fingerprint(storage.absolute(settings.candidates))
    elif settings.is_dense:
        found["candidates"] = settings.candidates
    return found


def write_candidates(
    settings: EvaluateSettings, uri: str, reject: Reject, encoder: EncoderSpec | None = None
) -> Written:
    """Find and write the candidates of every judged query to a Parquet file of groups.

    Args:
        encoder: of a dense first stage.

    Raises:
        InputError: no query is left that has a relevant document, or a run has candidates for none of them.
    """
    set_aside = SetAside(reject)
    corpus = corpus_of(settings)
    made: _OfGroups | _OfQueries
    if settings.groups is not None:
        made = _OfGroups(settings, corpus.open() if corpus else None, set_aside)
    else:
        assert corpus is not None, "settings ask for a corpus beside queries"
        made = _OfQueries(settings, corpus, set_aside, encoder, f"{uri.rsplit('/', 1)[0]}/dense")
    written = groups_parquet.write_groups(uri, made.groups())
    told = set_aside.in_words()
    if not written:
        raise InputError(f"no query can be measured ({told or 'nothing is judged'}); check the ids of the inputs")
    if not made.retrieved and settings.candidates not in STAGES:
        raise InputError(
            f"{settings.candidates} has no document of the corpus for any of the {written:,} judged queries "
            f"({told}); check that the run belongs to them"
        )
    return Written(
        uri,
        corpus.uri if corpus else None,
        written,
        made.has_order,
        made.first_stage,
        dict(set_aside.counts),
        True,
        made.dropped,
    )


def corpus_of(settings: EvaluateSettings) -> CorpusSource | None:
    """The corpus, where documents are named by id."""
    if settings.corpus is None:
        return None
    uri = storage.absolute(settings.corpus)
    columns = (settings.doc_id_column, settings.title_column, settings.text_column)
    return CorpusSource(uri, CorpusSource.fingerprint_of(uri), *columns)


def queries_of(settings: EvaluateSettings) -> QuerySource:
    """Where the queries are."""
    assert settings.queries is not None, "only where they are given"
    uri = storage.absolute(settings.queries)
    return QuerySource(uri, QuerySource.fingerprint_of(uri), settings.query_id_column, settings.query_column)


def groups_to_measure(settings: EvaluateSettings, corpus: TextStore | None, reject: Reject) -> Iterator[Group]:
    """The groups of ``--groups`` that can be measured on, with their candidates."""
    return _OfGroups(settings, corpus, reject).groups()


def read_candidates(written: Written) -> Iterator[tuple[Group, Facts]]:
    """The groups again, in their order."""
    for _, group in groups_parquet.read_groups(written.groups, _no_reject):
        yield group, Facts.of(group)


def _no_reject(row: Rejected) -> None:
    raise AssertionError(f"our own groups have a bad row: {row}")


class _OfGroups:
    """Groups that carry their candidates and labels."""

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
            yield _group(group, [*retrieved, *injected], len(retrieved), lost, self._text)

    def _divided(self, query_id: str, docs: list[Candidate]) -> tuple[list[Candidate], list[Candidate]]:
        """The documents down to the depth, and the judged ones behind it, in an order that knows no label."""

        def hashed(some: list[Candidate]) -> list[Candidate]:
            return by_hash(query_id, some, lambda doc: (self._text(doc) or "", doc.doc_id))

        ordered = docs if has_ranks(docs) else hashed(docs)
        retrieved = ordered[: self._depth]
        injected = [replace(doc, source=INJECTED) for doc in ordered[self._depth :] if doc.label is not None]
        are_some_ranked = has_ranks(docs) and not is_ranked(docs)
        return (hashed(retrieved), hashed(injected)) if are_some_ranked else (retrieved, injected)

    def _without_query(self, group: Group, docs: list[Candidate]) -> list[Candidate]:
        if self._keeps:
            return docs
        query = AskedQuery.of(group.query_id, group.query)
        kept = [
            doc for doc in docs if is_relevant(doc.label) or not query.found_in(doc.doc_id, doc.text, self._text(doc))
        ]
        self.dropped += len(docs) - len(kept)
        return kept

    def _usable(self, file: str, line: int, group: Group) -> tuple[list[Candidate], dict[str, float]]:
        """The documents that every model can score, without those that are flagged; and labels of the others."""
        kept: dict[str, Candidate] = {}
        lost: dict[str, float] = {}
        known = self._corpus.rows([doc.doc_id for doc in group.docs]).tolist() if self._corpus else None
        for place, doc in enumerate(group.docs):
            if doc.flags:
                continue
            fault = self._fault_of(doc, UNKNOWN if known is None else known[place])
            if doc.doc_id in kept:
                fault = Reason.DUPLICATE_ID, f"document {doc.doc_id} stands twice in the group; the first is kept"
            elif fault is not None and doc.label is not None:
                lost[doc.doc_id] = doc.label
            if fault is not None:
                self._reject(Rejected(file, line, group.query_id, *fault))
            else:
                kept[doc.doc_id] = doc
        return list(kept.values()), lost

    def _fault_of(self, doc: Candidate, row: int) -> tuple[Reason, str] | None:
        if doc.text is None and row == UNKNOWN:
            where = "the corpus does not have it" if self._corpus else "there is no --corpus to look it up in"
            return Reason.UNKNOWN_DOCUMENT, f"document {doc.doc_id} has no text, and {where}"
        if doc.text is not None:
            is_empty = not document_text(doc.title, doc.text)
        else:
            assert self._corpus is not None, "a row of a corpus"
            is_empty = self._corpus.usable(np.array([row]))[0] == Usable.EMPTY
        return (Reason.EMPTY_DOCUMENT, f"document {doc.doc_id} has no text") if is_empty else None

    def _fault(self, group: Group, docs: list[Candidate], seen: set[str]) -> tuple[Reason, str] | None:
        if group.query_id in seen:
            return Reason.DUPLICATE_ID, "an earlier group has this query id; that one is kept"
        if not group.query.strip():
            return Reason.EMPTY_QUERY, "the query is empty or white space"
        if not any(doc.label is not None and doc.label > 0 for doc in docs):
            return Reason.NO_POSITIVE, "no document that can be used is labelled above 0"
        return None

    def _text(self, doc: Candidate) -> str | None:
        if doc.text is not None:
            return document_text(doc.title, doc.text)
        return _text_of(self._corpus, doc.doc_id) if self._corpus else None


class _OfQueries:
    """Queries over a corpus, with a first stage and judgements."""

    has_order = True

    def __init__(
        self, settings: EvaluateSettings, corpus: CorpusSource, reject: Reject, encoder: EncoderSpec | None, folder: str
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
            settings = replace(settings, depth=settings.depth + 1)  # one to spare for the one that is left out
        self._rows = self._rows_of_judged()
        inputs = FirstStageInputs(settings, source, self._queries, corpus, self._corpus, self._rows, encoder, folder)
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
        return [
            not is_relevant(labels.get(doc_id)) and asked.found_in(doc_id, text) is not None
            for doc_id, text in zip(self._corpus.ids(rows), self._corpus.texts(rows), strict=True)
        ]

    def _rows_of_judged(self) -> list[int]:
        """Rows of the queries that are measured, in ascending order."""
        usable = self._queries.usable(slice(None)) == Usable.YES
        found = {}
        for query_id, row in zip(self._labels, self._queries.rows(list(self._labels)).tolist(), strict=True):
            if row == UNKNOWN or not usable[row]:
                detail = "is judged, and the queries lack it or have no text for it"
                self._set_aside(query_id, Reason.UNKNOWN_QUERY, detail)
            elif not any(label > 0 for label in self._labels[query_id].values()):
                self._set_aside(query_id, Reason.NO_POSITIVE, "no document is judged as relevant")
            else:
                found[row] = query_id
        return sorted(found)[: self._limit]

    def _group(self, query_id: str, query: str, retrieved: list[tuple[str, float]]) -> Group:
        labels = self._labels[query_id]
        found = [Candidate(doc_id, score=score, label=labels.get(doc_id)) for doc_id, score in retrieved]
        injected = []
        there = {doc_id for doc_id, _ in retrieved}
        missed = [doc_id for doc_id in labels if doc_id not in there]
        rows = self._corpus.rows(missed)
        known = [row != UNKNOWN and self._corpus.usable(np.array([row]))[0] == Usable.YES for row in rows.tolist()]
        there_rows = [row for row, is_known in zip(rows.tolist(), known, strict=True) if is_known]
        asked = AskedQuery.of(query_id, query)
        are_left_out = self._left_out(asked, there_rows)
        left_out = {doc_id for doc_id, is_out in zip(self._corpus.ids(there_rows), are_left_out, strict=True) if is_out}
        for doc_id, is_known in zip(missed, known, strict=True):
            if doc_id in left_out:
                continue
            if is_known:
                injected.append(Candidate(doc_id, label=labels[doc_id], source=INJECTED))
            else:
                self._set_aside(
                    query_id, Reason.UNKNOWN_DOCUMENT, f"document {doc_id} is judged, and the corpus lacks it"
                )
        elsewhere = {doc_id: labels[doc_id] for doc_id, is_known in zip(missed, known, strict=True) if not is_known}

        def text(doc: Candidate) -> str | None:
            return _text_of(self._corpus, doc.doc_id)

        # Judgements often have the relevant documents first.
        injected = by_hash(query_id, injected, lambda doc: (text(doc) or "", doc.doc_id))
        return _group(Group(query_id, query), [*found, *injected], len(retrieved), elsewhere, text)

    def _set_aside(self, query_id: str, reason: Reason, detail: str) -> None:
        self._reject(Rejected(self._qrels, None, query_id, reason, detail))


def _group(group: Group, docs: Iterable[Candidate], retrieved: int, elsewhere: dict[str, float], text: Any) -> Group:
    """The group with its documents ranked in their order, and its facts."""
    ranked = tuple(replace(doc, rank=rank) for rank, doc in enumerate(docs, start=1))
    relevant = next((doc for doc in ranked if doc.label is not None and doc.label > 0), None)
    found = text(relevant) if relevant is not None else None
    source = group.meta.get("source") or group.split
    facts = Facts(retrieved, elsewhere, len(group.query), None if found is None else len(found), source)
    return replace(group, docs=ranked, meta={FACTS: asdict(facts)})


def _text_of(corpus: TextStore, doc_id: str) -> str | None:
    [row] = corpus.rows([doc_id]).tolist()
    return corpus.texts([row])[0] if row != UNKNOWN else None
