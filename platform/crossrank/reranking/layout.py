"""The files of an output folder of `crossrank rerank`, and the columns of its tables.

All that is not a result begins with an underscore, so any Parquet reader takes the folder as one table.

    part-00000.parquet ...     results of block 0, 1, ...: a part that exists is finished, whole
    _manifest.json             what was asked, what came out
    _prepared/                 block-00000.parquet ...: queries with their candidates as corpus rows; plan.json
    _rejected/                 rows that were set aside, with file, line and reason
"""

from __future__ import annotations

import pyarrow as pa

PREPARED_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("source", pa.string()),  # the file that the query came from, and its line there
        pa.field("line", pa.int64()),
        pa.field("query_id", pa.string()),
        pa.field("query", pa.string()),
        pa.field("reason", pa.string()),  # why it cannot be scored; null when it can
        pa.field("corpus_rows", pa.list_(pa.int32())),
        pa.field("doc_ids", pa.list_(pa.string())),  # null where the corpus has them
        pa.field("texts", pa.list_(pa.large_string())),  # null where the corpus has them
        pa.field("initial_ranks", pa.list_(pa.int32())),
        pa.field("initial_scores", pa.list_(pa.float64())),
        pa.field("labels", pa.list_(pa.float64())),
    ]
)
"""Columns of a block: one row a query. `corpus_rows` is -1 for a document that brings its text."""

RANKED_TYPE = pa.struct(
    [
        pa.field("doc_id", pa.string()),
        pa.field("rank", pa.int32()),
        pa.field("score", pa.float32()),
        pa.field("initial_rank", pa.int32()),
        pa.field("initial_score", pa.float64()),
        pa.field("label", pa.float64()),
        pa.field("truncated_tokens", pa.int32()),
    ]
)
STATS_TYPE = pa.struct(
    [
        pa.field("pairs", pa.int32()),
        pa.field("tokens", pa.int64()),
        pa.field("padding", pa.int64()),
        pa.field("truncated_documents", pa.int32()),
        pa.field("query_truncated_tokens", pa.int32()),
        pa.field("tied_documents", pa.int32()),  # whose logit another document of the query has too
    ]
)


def part_schema(with_text: bool) -> pa.Schema:
    """Columns of the result: one row a query."""
    ranked = [RANKED_TYPE.field(i) for i in range(RANKED_TYPE.num_fields)]
    if with_text:
        ranked.append(pa.field("text", pa.large_string()))
    return pa.schema(
        [
            pa.field("row", pa.int64()),
            pa.field("query_id", pa.string()),
            pa.field("query", pa.string()),
            pa.field("status", pa.string()),
            pa.field("reason", pa.string()),
            pa.field("docs", pa.list_(pa.struct(ranked))),
            pa.field("stats", STATS_TYPE),
        ]
    )
