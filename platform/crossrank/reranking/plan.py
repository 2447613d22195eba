"""Prepare a job: read its inputs, measure the model, write the blocks, and keep the plan beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore
from crossrank.derived import Derived
from crossrank.records import Reject
from crossrank.reranking.prepare import RerankWork, Sources, blocks, read_work
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.block_size import queries_per_block
from crossrank.resumable.layout import Layout, write_table
from crossrank.resumable.output import read_json, remove, write_json
from crossrank.resumable.rejects import rejected_file
from crossrank.scoring.precision import precision_of
from crossrank.scoring.spec import ScorerSpec
from crossrank.scoring.throughput import measure_scoring
from crossrank.storage.content_hash import hash_bytes
from crossrank.telemetry.job_metrics import ROWS_READ
from crossrank.telemetry.progress import Progress, Waiting, say

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool


@dataclass(frozen=True, slots=True)
class RerankPlan:
    """The plan of a prepared job; kept in `_prepared/plan.json`, so that a resumed job need not prepare again."""

    rows_of_blocks: list[int]
    num_read: int
    """Queries that were read, those that could not be used among them."""
    precision: str | None
    """Number format that the first run chose; a resumed one keeps it, on whatever device."""
    block_size: str
    """Number of queries of a block, with the reason."""
    language: str | None
    """Language of BM25, with the reason; None where BM25 has no part in the job."""
    measured: dict[str, Any]


def read_plan(layout: Layout) -> RerankPlan | None:
    """The plan of a job that is prepared; None for one that is not."""
    return RerankPlan(**read_json(layout.plan)) if storage.exists(layout.plan) else None


@dataclass(frozen=True, slots=True)
class Cut:
    """The cut of an earlier run into blocks: cut alike now, its parts are those of the same blocks."""

    queries: int
    precision: str | None
    """Number format that the earlier run chose; None where that is not known."""

    @classmethod
    def by(cls, layout: Layout, before: dict[str, Any] | None) -> Cut | None:
        """The cut as the parts of an earlier run show it, where its plan is gone; None where there are no parts."""
        queries = layout.rows_of_a_part() if before is not None else None
        if before is None or queries is None:
            return None
        return cls(queries, before.get("chosen", {}).get("precision"))


def prepare(
    settings: RerankSettings,
    spec: ScorerSpec,
    sources: Sources,
    layout: Layout,
    pool: Pool,
    earlier: Cut | None,
    begin: Callable[[str | None], None],
) -> RerankPlan:
    """Read and count the inputs, measure one worker, and write the blocks; the plan is written last.

    Args:
        earlier: cut of the parts that are there; None cuts by the speed that is measured.
        begin: called with the number format when all is judged, to write the manifest and remove what an earlier run
            left.
    """
    from crossrank.resumable import on_ray

    remove(layout.prepared)
    with rejected_file(layout.prepared_rejected) as reject:
        with Waiting("reading the inputs"):
            work = read_work(settings, sources, reject)
        say(f"{work.num_queries:,} queries, at most {work.num_pairs:,} pairs; measuring the model")
        with Waiting("loading and measuring the model"):
            measured = on_ray.returned(on_ray.begin_call(pool, measure_scoring, spec, work.sample(), pool))
        rate = measured["pairs_per_second"]
        size = queries_per_block(work.num_queries, work.num_pairs, rate, pool.max_workers)
        precision: str | None = precision_of(measured["scorer"].get("dtype"))
        if earlier is not None:
            size = Derived(earlier.queries, "as the parts that are there")
            precision = earlier.precision or precision
        batches = measured["scorer"].get("token_budget", "no fixed number")
        say(f"one worker scores {rate:,.0f} pairs/s, tokens a batch: {batches}; queries a block: {size}")
        corpus = sources.corpus.open() if sources.corpus else None
        begin(precision)
        rows_of_blocks = _write_blocks(work, layout, size, corpus, reject)
    plan = RerankPlan(rows_of_blocks, work.num_read, precision, str(size), work.language, measured)
    write_json(layout.plan, asdict(plan))
    ROWS_READ.add(plan.num_read)
    return plan


def _write_blocks(
    work: RerankWork, layout: Layout, size: Derived[int], corpus: TextStore | None, reject: Reject
) -> list[int]:
    """Write the blocks, and the mask of the corpus rows they name. Returns the number of queries of each block."""
    wanted_N = np.zeros(len(corpus) if corpus is not None else 0, dtype=bool)
    rows_of_blocks: list[int] = []
    with Progress("queries prepared", work.num_queries) as progress:
        for number, block in enumerate(blocks(work.rows(reject), size.value)):
            write_table(layout.block(number), block)
            corpus_rows = block["corpus_rows"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            wanted_N[corpus_rows[corpus_rows != UNKNOWN]] = True
            rows_of_blocks.append(len(block))
            progress.advance(len(block))
    bits = np.packbits(wanted_N).tobytes()
    wanted = pa.table({"bits": pa.array([bits], pa.large_binary()), "key": [hash_bytes(bits)]})
    write_table(layout.wanted, wanted)
    return rows_of_blocks
