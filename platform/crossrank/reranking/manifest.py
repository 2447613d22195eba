"""`_manifest.json`: the settings and inputs of a job, its models, and its results."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from crossrank.cluster.pool import Pool
from crossrank.reranking.derive import RerankTotals
from crossrank.reranking.plan import RerankPlan
from crossrank.resumable.block_job import Figures
from crossrank.resumable.job import Run
from crossrank.resumable.manifest_shape import MayLack, OrNull, Shape, dict_of, is_count, is_dict, is_text
from crossrank.telemetry.job_metrics import PADDING, PAIRS, ROWS_DONE, ROWS_REJECTED, TOKENS, TRUNCATED

Manifest = dict[str, Any]
READ_AGAIN: Mapping[str, Shape] = {
    "blocks": is_count,
    "rows": {"out": is_count, "ok": is_count, "rejected": dict_of(is_count)},
    "settings": is_dict,
    "chosen": MayLack({"precision": MayLack(OrNull(is_text))}),
}
"""What is read from the manifest of a finished job."""
RAMP = 0.1
"""Share of the blocks in which some workers still load their model, and in which some have run out of work."""


@dataclass(slots=True)
class Scoring:
    """The scoring of this run, without that of earlier ones."""

    queries: int = 0
    pairs: int = 0
    ended: list[tuple[float, int]] = field(default_factory=list)
    """Time at which each block ended, with its pairs."""
    workers: set[str] = field(default_factory=set)
    """Workers that scored: machine and process."""
    threads: set[int] = field(default_factory=set)
    """Numbers of threads of the workers; they differ where nodes do."""

    def add(self, figures: Figures) -> str:
        """Count a finished block. Returns the rate so far, in words."""
        self.ended.append((figures["started"] + figures["seconds"], figures["pairs"]))
        self.queries += figures["queries"]
        self.pairs += figures["pairs"]
        self.workers.add(figures["worker"])
        self.threads.add(figures["threads"])
        ROWS_DONE.add(figures["queries"])
        PAIRS.add(figures["pairs"])
        TOKENS.add(figures["tokens"])
        PADDING.add(figures["padding"])
        TRUNCATED.add(figures["truncated_documents"])
        for reason, count in json.loads(figures["rejected"]).items():
            ROWS_REJECTED.add(count, reason=reason)
        rate = self.steady_pairs_per_second
        return f"{rate:,.0f} pairs/s" if rate else ""

    @property
    def first_ended(self) -> float | None:
        """Time at which the first block ended."""
        return min(self.ended)[0] if self.ended else None

    @property
    def steady_pairs_per_second(self) -> float | None:
        """Pairs a second while all workers were at work: without the first and the last tenth of the blocks."""
        edge = math.ceil(len(self.ended) * RAMP)
        steady = sorted(self.ended)[edge - 1 : len(self.ended) - edge] if self.ended else []
        if len(steady) < 2 or steady[-1][0] <= steady[0][0]:
            return None
        return round(sum(pairs for _, pairs in steady[1:]) / (steady[-1][0] - steady[0][0]), 2)


def facts_of(
    plan: RerankPlan, pool: Pool, found: RerankTotals, rejected: dict[str, dict[str, int]], scoring: Scoring, run: Run
) -> Manifest:
    """The facts of the manifest of a job that ended.

    Its rows add up: ``in`` is ``out`` and the queries that were set aside while preparing; ``out`` is ``ok`` and
    ``rejected``.
    """
    tokens, padding, pairs = (found.stats[name] for name in ("tokens", "padding", "pairs"))
    first_score_s = None if scoring.first_ended is None else round(scoring.first_ended - run.job.started, 2)
    return {
        "blocks": len(plan.rows_of_blocks),
        "chosen": {
            "block_size": plan.block_size,
            "language": plan.language,
            "precision": plan.precision,
            "workers": str(pool.workers),
            "gpus_per_worker": pool.gpus,
        },
        "rows": {
            "in": plan.num_read,
            "set_aside_while_preparing": plan.num_read - found.queries,
            "out": found.queries,
            "ok": found.ok,
            "rejected": dict(found.rejected),
            "resumed": found.queries - scoring.queries,
        },
        "rejected": rejected,
        "documents_out": found.documents,
        "pairs": pairs,
        "tokens": tokens,
        "padding": padding,
        "padding_share": round(padding / max(tokens + padding, 1), 4),
        "truncated_documents": found.stats["truncated_documents"],
        "query_truncated_tokens": found.stats["query_truncated_tokens"],
        "tie_rate": round(found.stats["tied_documents"] / max(pairs, 1), 6),
        "scorer": plan.measured["scorer"],
        "workers": len(scoring.workers),
        "threads_of_workers": sorted(scoring.threads),
        "first_score_s": first_score_s,
        "pairs_per_second": round(scoring.pairs / max(run.clock.laps["score"], 1e-9), 2),
        "steady_pairs_per_second": scoring.steady_pairs_per_second,
    }
