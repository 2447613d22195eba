"""BEIR folders: ``corpus.jsonl``, ``queries.jsonl``, and judgements in ``qrels/SPLIT.tsv`` or ``qrels.tsv``.

What it holds: ids, titles, texts, labels, the split (the name of the judgement file; none for ``qrels.tsv``), and any
other key of a query or a document, which rides in its `meta`. Ranks and scores have no place and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from typing import NamedTuple

from crossrank import storage
from crossrank.errors import InputError, OutputError, quoted
from crossrank.formats.fields import RowRefused, accepted, plain_number
from crossrank.formats.foreign import row_line, written_keys
from crossrank.formats.lines import read_lines, writing_lines
from crossrank.formats.repeated import each_once, say_repeated
from crossrank.formats.sources import TSV, file_name, has_extension
from crossrank.formats.tables import BEIR_CORPUS, BEIR_QUERIES, Query, read_documents, read_queries, table_files
from crossrank.formats.trec import Qrel, number_of
from crossrank.records import Candidate, Document, Group, Json, Reason, Reject, Rejected

HEADER = ("query-id", "corpus-id", "score")
QRELS_FOLDER = "qrels"
QRELS_FILE = "qrels.tsv"

_SPLIT_NAME = re.compile(r"[^/\\\x00-\x1f._][^/\\\x00-\x1f]*")


class Judgements(NamedTuple):
    """One judgement file of a folder."""

    uri: str
    split: str | None
    by_query: dict[str, list[Qrel]]


def read_qrels(uri: str, reject: Reject) -> Iterator[Qrel]:
    """The judgements of a file of three columns separated by tabs, with or without its header line.

    Rejected: lines without three columns, an empty id, grades that are not finite numbers.
    """
    lines = (
        (line, cells)
        for line, cells in ((line, content.split("\t")) for line, content in read_lines(uri, reject))
        if cells[:2] != list(HEADER[:2])
    )
    for _, row in accepted(lines, uri, reject, _qrel, lambda cells: cells[0] or None):
        yield row


def read_groups(uri: str, reject: Reject) -> Iterator[tuple[int, Group]]:
    """One group for each judged query of each split, with its judged documents and their texts.

    The line is that of the query's first judgement. Memory grows with the judgements, and with the texts they
    name: the rest of the corpus is read and let go. Documents and queries that nobody judged are in no group.

    Rejected: judgements of a query or document that the folder does not have, and the second query or document of
    an id. Refuses a folder without one of the three parts.
    """
    judgements = [
        Judgements(file, split, _by_query(read_qrels(file, reject))) for file, split in _qrels_files(uri).items()
    ]
    wanted_docs = {qrel.doc_id for part in judgements for rows in part.by_query.values() for qrel in rows}
    wanted_queries = {query_id for part in judgements for query_id in part.by_query}
    queries = _kept_queries(uri, wanted_queries, reject)
    documents = _kept_documents(uri, wanted_docs, reject)
    for part in judgements:
        for query_id, rows in part.by_query.items():
            query = queries.get(query_id)
            docs: list[Candidate] = []
            for row in rows:
                document = documents.get(row.doc_id)
                if query is None:
                    _reject_unknown(part.uri, row, "query", row.query_id, reject)
                elif document is None:
                    _reject_unknown(part.uri, row, "document", row.doc_id, reject)
                else:
                    docs.append(_candidate(document, row.relevance))
            if query is not None and docs:
                yield rows[0].line, Group(query_id, query.text, tuple(docs), split=part.split, meta=query.meta)


def write_groups(uri: str, groups: Iterable[Group], reject: Reject) -> int:
    """Write a BEIR folder; returns the number of groups in it. What it has to hold is a hash for each id.

    A document of several groups is written once, and one that stands in a group again is judged once, with its highest
    label. Unjudged documents are in the corpus and in no judgement.
    Groups without a split go to ``qrels.tsv``.

    Rejected: groups without a judged document, a second group of a query in a split, a query or document that had
    another text under its id before, documents without text, flagged documents, and ids that TSV cannot hold.
    Refuses a folder that holds something: its judgements would count among the new ones.
    """
    if storage.list_files(uri, recursive=True):
        raise OutputError(f"{uri} is not empty; name a new folder, or remove what it holds")
    written = 0
    with ExitStack() as files:
        output = _Output(uri, files)
        for group in groups:
            try:
                output.add(group)
            except RowRefused as refused:
                reject(refused.rejected(uri, None, group.query_id))
            else:
                written += 1
    say_repeated(uri, output.repeated)
    return written


class _Output:
    """The open files of a folder, and what they hold of each id."""

    def __init__(self, uri: str, files: ExitStack) -> None:
        self._uri = uri
        self._files = files
        self._corpus = files.enter_context(writing_lines(storage.join(uri, BEIR_CORPUS)))
        self._queries = files.enter_context(writing_lines(storage.join(uri, BEIR_QUERIES)))
        self._judgements: dict[str | None, Callable[[str], None]] = {}
        self._seen: dict[tuple[str, str], bytes] = {}
        self._groups: set[tuple[str, str | None]] = set()
        self.repeated = 0
        """Documents that stood in their group again."""

    def add(self, group: Group) -> None:
        """Write one group, or refuse it before any of its lines is written."""
        if (group.query_id, group.split) in self._groups:
            raise RowRefused(f"a group of this query and the split {group.split} came before", Reason.DUPLICATE_ID)
        if group.split is not None and not _SPLIT_NAME.fullmatch(group.split):
            raise RowRefused(f"the split {quoted(group.split)} cannot be the name of a file")
        once = each_once(group.docs)
        judgements = [_judgement(group, each.doc) for each in once.kept if each.doc.label is not None]
        if not judgements:
            raise RowRefused("has no judged document", Reason.NO_CANDIDATES)
        new: dict[tuple[str, str], bytes] = {}
        query = self._unless_there("query", group.query_id, _query_row(group), new)
        documents = [self._unless_there("document", doc.doc_id, _document_row(doc), new) for doc in group.docs]
        self._seen |= new
        self._groups.add((group.query_id, group.split))
        self.repeated += len(once.repeated)
        for row, write in ((query, self._queries), *((document, self._corpus) for document in documents)):
            if row is not None:
                write(row)
        write_judgement = self._judgement_file(group.split)
        for line in judgements:
            write_judgement(line)

    def _unless_there(self, kind: str, record_id: str, row: Json, new: dict[tuple[str, str], bytes]) -> str | None:
        line = row_line(row)
        content = blake2b(line.encode(), digest_size=16).digest()
        before = self._seen.get((kind, record_id), new.get((kind, record_id)))
        if before is None:
            new[kind, record_id] = content
            return line
        if before != content:
            raise RowRefused(f"the {kind} {record_id} had another text or title before", Reason.DUPLICATE_ID)
        return None

    def _judgement_file(self, split: str | None) -> Callable[[str], None]:
        if split not in self._judgements:
            names = (QRELS_FILE,) if split is None else (QRELS_FOLDER, f"{split}.tsv")
            write = self._files.enter_context(writing_lines(storage.join(self._uri, *names)))
            write("\t".join(HEADER))
            self._judgements[split] = write
        return self._judgements[split]


def _qrel(line: int, cells: list[str]) -> Qrel:
    if len(cells) != len(HEADER):
        raise RowRefused(f"{len(cells)} columns, and 3 are wanted ({', '.join(HEADER)}, separated by tabs)")
    query_id, doc_id, score = cells
    if not query_id or not doc_id:
        raise RowRefused("an id is empty")
    return Qrel(query_id, doc_id, number_of(score.strip(), "score"), "0", line)


def _qrels_files(uri: str) -> dict[str, str | None]:
    """The judgement files of a folder and their splits."""
    found: dict[str, str | None] = {}
    for file in storage.list_files(storage.join(uri, QRELS_FOLDER)):
        name = file_name(file.uri)
        if has_extension(name, TSV) and not name.startswith(("_", ".")):
            found[file.uri] = name.removesuffix(".gz").removesuffix(".tsv")
    for file in storage.list_files(uri):
        if file_name(file.uri).removesuffix(".gz") == QRELS_FILE:
            found[file.uri] = None
    if not found:
        raise InputError(f"{uri} has no judgements; a BEIR folder has qrels/SPLIT.tsv or qrels.tsv")
    return found


def _by_query(rows: Iterable[Qrel]) -> dict[str, list[Qrel]]:
    found: dict[str, list[Qrel]] = {}
    for row in rows:
        found.setdefault(row.query_id, []).append(row)
    return found


def _kept_queries(uri: str, wanted: set[str], reject: Reject) -> dict[str, Query]:
    kept: dict[str, Query] = {}
    for file in _part(uri, BEIR_QUERIES):
        for query in read_queries(file, reject):
            if query.query_id in kept:
                _reject_second(file, query.line, "query", query.query_id, reject)
            elif query.query_id in wanted:
                kept[query.query_id] = query
    return kept


def _kept_documents(uri: str, wanted: set[str], reject: Reject) -> dict[str, Document]:
    kept: dict[str, Document] = {}
    for file in _part(uri, BEIR_CORPUS):
        for line, document in read_documents(file, reject):
            if document.doc_id in kept:
                _reject_second(file, line, "document", document.doc_id, reject)
            elif document.doc_id in wanted:
                kept[document.doc_id] = document
    return kept


def _part(uri: str, name: str) -> list[str]:
    files = table_files(uri, name)
    if file_name(files[0]).removesuffix(".gz") != name:
        raise InputError(f"{uri} has no {name}, so it is not a BEIR folder")
    return files


def _reject_second(uri: str, line: int, kind: str, record_id: str, reject: Reject) -> None:
    detail = f"a {kind} of this id came before; the first is used"
    reject(Rejected(uri, line, record_id, Reason.DUPLICATE_ID, detail))


def _reject_unknown(uri: str, row: Qrel, kind: str, record_id: str, reject: Reject) -> None:
    reason = Reason.UNKNOWN_QUERY if kind == "query" else Reason.UNKNOWN_DOCUMENT
    reject(Rejected(uri, row.line, record_id, reason, f"judges the {kind} {record_id}, which the folder does not have"))


def _candidate(document: Document, label: float) -> Candidate:
    return Candidate(document.doc_id, document.text, document.title, label=label, meta=document.meta)


def _query_row(group: Group) -> Json:
    return {"_id": group.query_id, "text": group.query} | written_keys(group.meta, ("_id", "text"))


def _document_row(doc: Candidate) -> Json:
    if doc.text is None:
        raise RowRefused(f"document {doc.doc_id} has no text; fill the texts in from the corpus first")
    title = {} if doc.title is None else {"title": doc.title}
    return {"_id": doc.doc_id, **title, "text": doc.text} | written_keys(doc.meta, ("_id", "title", "text"))


def _judgement(group: Group, doc: Candidate) -> str:
    for record_id in (group.query_id, doc.doc_id):
        if any(character in record_id for character in "\t\r\n"):
            raise RowRefused(f"the id {quoted(record_id)} has a tab or a line end, which TSV cannot hold")
    if doc.flags:
        raise RowRefused(f"document {doc.doc_id} is flagged {', '.join(doc.flags)}; remove it first")
    assert doc.label is not None
    return f"{group.query_id}\t{doc.doc_id}\t{plain_number(doc.label)}"
