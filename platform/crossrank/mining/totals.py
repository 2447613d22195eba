"""Totals and the samples of the report, computed from the parts once all are there."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crossrank.errors import JobFailed
from crossrank.mining.layout import STATS, MineLayout
from crossrank.resumable.layout import read_table

SAMPLES = 10
"""Dropped passages of each reason that the report shows."""


@dataclass(slots=True)
class MiningTotals:
    """Sums and samples over all parts."""

    groups: int = 0
    without_negatives: int = 0
    stats: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Samples by reason: the first dropped passages of the job, and the queries they were found for."""

    def first_stage(self) -> dict[str, float]:
        """Share of the groups with a positive in the corpus that have one among the first 10, by stage."""
        judged = max(self.stats["judged"], 1)
        return {name: round(self.stats[f"{name}_at_10"] / judged, 4) for name in ("bm25", "dense", "fused")}


def totals(layout: MineLayout, rows_of_blocks: list[int]) -> MiningTotals:
    """Add up the parts, after checking that each holds every row of its block once."""
    found = MiningTotals()
    samples: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, num_rows in enumerate(rows_of_blocks):
        part = _table(layout, layout.part(number), ["row", "query_id", "query", "stats"])
        if part["row"].to_pylist() != list(range(found.groups, found.groups + num_rows)):
            raise JobFailed(
                f"{layout.part(number)} does not hold the rows {found.groups} to {found.groups + num_rows - 1} of its "
                f"block once each; remove the file and run the same command again"
            )
        found.groups += num_rows
        stats = part["stats"].combine_chunks()
        for name in STATS:
            found.stats[name] += pc.sum(stats.field(name)).as_py() or 0
        found.without_negatives += pc.sum(pc.equal(stats.field("mined"), 0)).as_py() or 0
        dropped = _table(layout, layout.dropped(number), None)
        found.dropped.update(dropped["reason"].to_pylist())
        _take_samples(dropped, part, samples)
    found.samples = dict(sorted(samples.items()))
    return found


def _take_samples(dropped: pa.Table, part: pa.Table, samples: defaultdict[str, list[dict[str, Any]]]) -> None:
    wanted = {reason for reason in set(dropped["reason"].to_pylist()) if len(samples[reason]) < SAMPLES}
    if not wanted:
        return
    queries = dict(zip(part["query_id"].to_pylist(), part["query"].to_pylist(), strict=True))
    for row in dropped.to_pylist():
        if row["reason"] in wanted and len(samples[row["reason"]]) < SAMPLES:
            samples[row["reason"]].append({"query": queries[row["query_id"]], **row})


def _table(layout: MineLayout, uri: str, columns: list[str] | None) -> pa.Table:
    try:
        return read_table(uri, columns)
    except pa.ArrowException as error:  # a disk that lied about what it had written
        raise JobFailed(f"{uri} is no whole Parquet file; remove it and run the same command again") from error
