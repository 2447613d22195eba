"""The rerank stage for other people's pipelines: queries with their documents in, rankings beside them out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import pyarrow as pa

from crossrank.corpus.ids import UNKNOWN
from crossrank.errors import InputError
from crossrank.records import Reason, document_text
from crossrank.reranking.block import Keep, rerank_block
from crossrank.reranking.layout import PREPARED_SCHEMA, part_schema
from crossrank.scoring.scored import Scorer
from crossrank.scoring.spec import ScorerSpec

RANKING_TYPE = pa.list_(pa.struct([pa.field("index", pa.int32()), pa.field("score", pa.float32())]))


ADDED_COLUMNS = ("ranking", "status", "reason")


def check_columns(names: Sequence[str], query_column: str, documents_column: str) -> None:
    """Refuse a dataset that lacks a column, or has one that the ranking adds."""
    for name in (query_column, documents_column):
        if name not in names:
            raise InputError(
                f"the dataset has no column {name}, it has {', '.join(names)}; "
                f"name it with query_column or documents_column"
            )
    for name in ADDED_COLUMNS:
        if name in names:
            raise InputError(f"the dataset has a column {name} already, which the ranking adds; rename it")


class RerankBatch:
    """Adds the columns ``ranking``, ``status`` and ``reason`` to batches of rows. One per worker."""

    def __init__(
        self, spec: ScorerSpec, keep: Keep, query_column: str, documents_column: str, threads: int | None
    ) -> None:
        self._spec = spec
        self._threads = threads
        self._keep = keep
        self._query_column = query_column
        self._documents_column = documents_column

    # By the first call, in its thread: see `BlockWorker`.
    @cached_property
    def _scorer(self) -> Scorer:
        return self._spec.load(self._threads)

    def __call__(self, batch: pa.Table) -> pa.Table:
        # Of a block that was filtered to nothing Ray Data forgets the columns.
        results = self._results(batch) if len(batch) else part_schema(with_text=False).empty_table()
        rankings = [
            [{"index": doc["initial_rank"] - 1, "score": doc["score"]} for doc in docs]
            for docs in results["docs"].to_pylist()
        ]
        return (
            batch.append_column("ranking", pa.array(rankings, RANKING_TYPE))
            .append_column("status", results["status"])
            .append_column("reason", results["reason"])
        )

    def _results(self, batch: pa.Table) -> pa.Table:
        check_columns(batch.column_names, self._query_column, self._documents_column)
        queries = batch[self._query_column].to_pylist()
        documents = batch[self._documents_column].to_pylist()
        rows = [_prepared(row, *pair) for row, pair in enumerate(zip(queries, documents, strict=True))]
        return rerank_block(pa.Table.from_pylist(rows, schema=PREPARED_SCHEMA), self._scorer, None, self._keep)


def _prepared(row: int, query: str | None, documents: list[Any] | None) -> dict[str, Any]:
    """A row of `PREPARED_SCHEMA`; documents without text are left out, and their index with them."""
    texts = [_text(document) for document in documents or []]
    kept = [(index, text) for index, text in enumerate(texts) if text]
    has_query = bool(query and query.strip())
    reason = None if kept else Reason.NO_CANDIDATES
    if not has_query:
        kept, reason = [], Reason.EMPTY_QUERY
    return {
        "row": row,
        "query_id": "",
        "query": query or "",
        "reason": reason,
        "corpus_rows": [UNKNOWN] * len(kept),
        "doc_ids": [str(index) for index, _ in kept],
        "texts": [text for _, text in kept],
        "initial_ranks": [index + 1 for index, _ in kept],
        "initial_scores": None,
        "labels": None,
    }


def _text(document: Any) -> str:
    if isinstance(document, dict):
        return document_text(document.get("title"), document.get("text"))
    return document_text(None, document)
