"""The place of a corpus or a set of queries and how to read it: sent to every node instead of the texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from crossrank import storage
from crossrank.corpus.store import SourceRow, TextStore, open_store
from crossrank.errors import InputError
from crossrank.formats.tables import BEIR_CORPUS, BEIR_QUERIES, read_documents, read_queries, table_files
from crossrank.records import Reason, Reject, document_text, title_length
from crossrank.storage.content_hash import fingerprint_of

LAYOUT = "4"
"""Version of the files of a store and of what is read into them: an old cache is not read as a new one."""


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A corpus at a URI."""

    uri: str
    fingerprint: str
    doc_id_column: str | None = None
    title_column: str | None = None
    text_column: str | None = None

    @property
    def key(self) -> str:
        """Key of the store in the cache; equal for sources that give the same store."""
        return _key("corpus", astuple(self))

    def open(self) -> TextStore:
        """The store on this machine, converted now if it is not in the cache. Its texts are what the model reads."""
        return open_store(storage.cache_folder() / "texts" / self.key, self._read, Reason.EMPTY_DOCUMENT)

    @staticmethod
    def fingerprint_of(uri: str) -> str:
        """Hash of the files that are read; others in the same folder do not matter."""
        return fingerprint_of(uri, table_files(uri, BEIR_CORPUS))

    def _read(self, reject: Reject) -> Iterator[SourceRow]:
        for file in table_files(self.uri, BEIR_CORPUS):
            documents = read_documents(
                file,
                reject,
                doc_id_column=self.doc_id_column,
                title_column=self.title_column,
                text_column=self.text_column,
                with_meta=False,
            )
            for line, document in documents:
                parts = document.title, document.text
                yield SourceRow(file, line, document.doc_id, document_text(*parts), title_length(*parts))
        _refuse_changed(self.uri, self.fingerprint, self.fingerprint_of(self.uri))


@dataclass(frozen=True, slots=True)
class QuerySource:
    """Queries at a URI."""

    uri: str
    fingerprint: str
    query_id_column: str | None = None
    query_column: str | None = None

    def open(self) -> TextStore:
        """The store on this machine, converted now if it is not in the cache."""
        key = _key("queries", astuple(self))
        return open_store(storage.cache_folder() / "texts" / key, self._read, Reason.EMPTY_QUERY)

    @staticmethod
    def fingerprint_of(uri: str) -> str:
        """Hash of the files that are read; others in the same folder do not matter."""
        return fingerprint_of(uri, table_files(uri, BEIR_QUERIES))

    def _read(self, reject: Reject) -> Iterator[SourceRow]:
        queries = read_queries(
            self.uri,
            reject,
            query_id_column=self.query_id_column,
            query_column=self.query_column,
            with_meta=False,
        )
        for query in queries:
            yield SourceRow(query.source, query.line, query.query_id, query.text)
        _refuse_changed(self.uri, self.fingerprint, self.fingerprint_of(self.uri))


def _refuse_changed(uri: str, expected: str, found: str) -> None:
    """Refuse content that is not the one its key was made of: the file has changed, or is another on this node."""
    if found != expected:
        raise InputError(
            f"{uri} on {os.uname().nodename} is not what the job began with; give every node the same file, leave it "
            f"unchanged while the job runs, and start afresh with --overwrite"
        )


def _key(kind: str, fields: tuple[object, ...]) -> str:
    return hashlib.sha256(repr((LAYOUT, kind, fields)).encode()).hexdigest()[:32]
