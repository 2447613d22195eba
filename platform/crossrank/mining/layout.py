"""The files of an output folder of `crossrank mine`, and the columns of its tables.

All that is not a result begins with an underscore, so any Parquet reader takes the folder as one table of groups.

    part-00000.parquet ...     the groups of block 0, 1, ... with their negatives: a part that exists is finished, whole
    _dropped/                  part-00000.parquet ...: passages that are no negatives, with the reason
    _report.json               how many were dropped for which reason, and samples of each
    _rejected/                 groups that were set aside, with file, line and reason
    _prepared/                 block-00000.parquet ...: the groups as they were; found-*: what was found; plan.json
    _manifest.json             what was asked, what came out
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from crossrank import storage
from crossrank.formats.groups_parquet import GROUP_SCHEMA
from crossrank.resumable.layout import Layout

SIBLING_TYPE = pa.struct(
    [
        pa.field("id", pa.uint64()),  # hash of the document's id
        pa.field("text", pa.uint64()),  # hash of its normalised text, 0 where there is none
        pa.field("row", pa.int32()),  # its row of the corpus, -1 where it has none
    ]
)
"""A positive of another group that has the same query."""

BLOCK_SCHEMA = pa.schema([pa.field("row", pa.int64()), *GROUP_SCHEMA, pa.field("siblings", pa.list_(SIBLING_TYPE))])

STATS = (
    "mined",
    "bm25",  # mined ones that BM25 alone found
    "dense",
    "both",
    "exhausted",  # 1 where the window held fewer negatives than wanted
    "unscored",  # 1 where the teacher gave the positives no number, so that there are no negatives
    "judged",  # 1 where the corpus has a positive of the group
    "bm25_at_10",  # 1 where BM25 has one among its first 10
    "dense_at_10",
    "fused_at_10",
    "pairs",
    "tokens",
    "truncated",
)
STATS_TYPE = pa.struct([pa.field(name, pa.int64()) for name in STATS])
"""Figures of a group, so that the totals are a sum over the parts, whatever run made them."""

PART_SCHEMA = pa.schema([pa.field("row", pa.int64()), *GROUP_SCHEMA, pa.field("stats", STATS_TYPE)])

DROPPED_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("source", pa.string()),
        pa.field("rank", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class MineLayout(Layout):
    """Names of the files of one output folder. A part is written after what was dropped from it."""

    @property
    def report(self) -> str:
        return storage.join(self.output, "_report.json")

    @property
    def rejected_file(self) -> str:
        return storage.join(self.rejected, "rejected.parquet")

    @property
    def dropped_folder(self) -> str:
        return storage.join(self.output, "_dropped")

    def parts_with_dropped(self) -> set[int]:
        """Numbers of the parts of which it is known what was dropped from them."""
        there = {file.uri for file in storage.list_files(self.dropped_folder)}
        return {number for number in self.finished_parts() if self.dropped(number) in there}

    @property
    def embeddings(self) -> str:
        """Folder of the corpus's vectors, where the settings name no other."""
        return storage.join(self.output, "_embeddings")

    def found(self, slice_: int, number: int) -> str:
        return storage.join(self.prepared, f"found-{slice_:03}-{number:05}.parquet")

    def dropped(self, number: int) -> str:
        return storage.join(self.dropped_folder, f"part-{number:05}.parquet")

    def finished_searches(self) -> set[tuple[int, int]]:
        """Slice and block of each search that is finished."""
        names = [file.uri.rsplit("/", 1)[1] for file in storage.list_files(self.prepared, suffix=".parquet")]
        return {(int(name[6:9]), int(name[10:-8])) for name in names if name.startswith("found-")}

    def delete_searches(self) -> None:
        """Remove the results of the searches; the blocks may be searched for again."""
        for searched in self.finished_searches():
            storage.delete(self.found(*searched))
