"""The rerank stage for other people's pipelines: queries with their documents in, rankings beside them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.types as is_type

from crossrank.corpus.ids import UNKNOWN
from crossrank.errors import InputError, listed, quoted
from crossrank.formats.parquet import is_list
from crossrank.records import Reason
from crossrank.reranking.block import Keep, rerank_block
from crossrank.reranking.layout import PREPARED_SCHEMA, part_schema
from crossrank.scoring.inputs import LIST_OF_TEXTS, document_of, in_order, is_missing, query_of
from crossrank.scoring.interfaces import Scorer
from crossrank.scoring.spec import ScorerSpec

RANKING_TYPE = pa.list_(
    pa.struct(
        [pa.field("index", pa.int32()), pa.field("score", pa.float32()), pa.field("truncated_tokens", pa.int32())]
    )
)
ADDED_COLUMNS = ("ranking", "without_text", "status", "reason")


def check_columns(names: Sequence[str], query_column: str, documents_column: str) -> None:
    """Refuse a dataset that lacks a column, or has one that the ranking adds."""
    for name in (query_column, documents_column):
        if name not in names:
            raise InputError(
                f"the dataset has no column {name}, it has {listed(names)}; "
                f"name it with query_column or documents_column"
            )
        if names.count(name) > 1:
            raise InputError(f"the dataset has {names.count(name)} columns {name}; rename all but one of them")
    for name in ADDED_COLUMNS:
        if name in names:
            raise InputError(f"the dataset has a column {name} already, which the ranking adds; rename it")


def check_types(schema: pa.Schema, query_column: str, documents_column: str) -> None:
    """Refuse columns whose type holds no texts; what a type leaves open is judged value by value."""
    query_type = schema.field(query_column).type
    if not _may_be_text(query_type):
        raise InputError(
            f"the column {query_column} holds {query_type}, and a query is one text; name another with query_column"
        )
    type_ = schema.field(documents_column).type
    if is_type.is_null(type_) or _is_open(type_):
        return
    if not is_list(type_):
        raise InputError(
            f"the column {documents_column} holds {type_}, and each row has a list of documents; "
            f"make it a list of texts, or name another with documents_column"
        )
    if not (_may_be_text(type_.value_type) or _may_be_document(type_.value_type)):
        raise InputError(
            f"the column {documents_column} holds lists of {type_.value_type}, and a document is a text, or a struct "
            f"with the field text and perhaps title; name another with documents_column"
        )


def _may_be_text(type_: pa.DataType) -> bool:
    if is_type.is_dictionary(type_):
        return _may_be_text(type_.value_type)
    is_text = is_type.is_string(type_) or is_type.is_large_string(type_) or is_type.is_string_view(type_)
    return is_text or is_type.is_null(type_) or _is_open(type_)


def _may_be_document(type_: pa.DataType) -> bool:
    if not is_type.is_struct(type_):
        return False
    fields = {field.name: field.type for field in type_}
    return "text" in fields and all(_may_be_text(fields[name]) for name in ("text", "title") if name in fields)


def _is_open(type_: pa.DataType) -> bool:
    """Whether a type is one of Ray Data's own, for values that came out of numpy: it may hold any Python value."""
    return isinstance(type_, pa.BaseExtensionType)


class RerankBatch:
    """Adds the columns `ADDED_COLUMNS` to batches of rows. One per worker."""

    def __init__(
        self, spec: ScorerSpec, keep: Keep, query_column: str, documents_column: str, threads: int | None
    ) -> None:
        self._spec = spec
        self._threads = threads
        self._keep = keep
        self._query_column = query_column
        self._documents_column = documents_column

    # Loaded by the first call, in its thread: see `BlockWorker`.
    @cached_property
    def _scorer(self) -> Scorer:
        return self._spec.load(self._threads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        # Ray Data forgets the columns of a block that was filtered to nothing.
        rows = self._rows(batch) if len(batch) else []
        if rows:
            prepared = pa.Table.from_pylist(rows, schema=PREPARED_SCHEMA)
            results = rerank_block(prepared, self._scorer, None, self._keep)
        else:
            results = part_schema(with_text=False).empty_table()
        rankings = [
            [
                {
                    "index": doc["initial_rank"] - 1,
                    "score": doc["score"],
                    "truncated_tokens": doc["truncated_tokens"],
                }
                for doc in docs
            ]
            for docs in results["docs"].to_pylist()
        ]
        added = {
            "ranking": pa.array(rankings, RANKING_TYPE),
            "without_text": pa.array([row["without_text"] for row in rows], pa.list_(pa.int32())),
            "status": results["status"],
            "reason": results["reason"],
        }
        for name in ADDED_COLUMNS:
            batch = batch.append_column(name, added[name])
        return batch

    def _rows(self, batch: pa.Table) -> list[dict[str, Any]]:
        check_columns(batch.column_names, self._query_column, self._documents_column)
        check_types(batch.schema, self._query_column, self._documents_column)
        queries = batch[self._query_column].to_pylist()
        documents = batch[self._documents_column].to_pylist()
        return [self._row(row, *pair) for row, pair in enumerate(zip(queries, documents, strict=True))]

    def _row(self, row: int, query: Any, documents: Any) -> dict[str, Any]:
        """A row of `PREPARED_SCHEMA`, and the places of documents without text, which are left out of it."""
        text = "" if is_missing(query) else query_of(query, f"{self._query_column} in row {row} of its batch")
        texts = _texts(documents, f"{self._documents_column} in row {row} of its batch (query {quoted(text, 60)})")
        kept = [(index, document) for index, document in enumerate(texts) if document]
        without_text = [index for index, document in enumerate(texts) if not document]
        reason = None if kept else Reason.NO_CANDIDATES
        if not text.strip():
            kept, reason = [], Reason.EMPTY_QUERY
        return {
            "row": row,
            "query_id": "",
            "query": text,
            "reason": reason,
            "corpus_rows": [UNKNOWN] * len(kept),
            "doc_ids": [str(index) for index, _ in kept],
            "texts": [document for _, document in kept],
            "initial_ranks": [index + 1 for index, _ in kept],
            "initial_scores": None,
            "labels": None,
            "without_text": without_text,
        }


def _texts(documents: Any, name: str) -> list[str]:
    """The text that the model reads of each document, stripped; empty for one that is null or has no text."""
    if is_missing(documents):
        return []
    return [
        _text(document, f"document {n} of {name}")
        for n, document in enumerate(in_order(documents, name, LIST_OF_TEXTS))
    ]


def _text(document: Any, name: str) -> str:
    if is_missing(document):
        return ""
    if isinstance(document, Mapping) and "text" in document:
        title, text = document.get("title"), document["text"]
        document = {"title": None if is_missing(title) else title, "text": "" if is_missing(text) else text}
    return document_of(document, name).text.strip()
