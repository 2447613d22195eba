"""`_manifest.json`: what was asked, with what, and what came out."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from crossrank.provenance import provenance
from crossrank.reranking.derive import Totals
from crossrank.reranking.plan import Plan
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.spec import ScorerSpec

Manifest = dict[str, Any]


def new_manifest(settings: RerankSettings, spec: ScorerSpec, identity: dict[str, Any], started: float) -> Manifest:
    """The manifest of a job that begins."""
    return {
        "state": "running",
        "crossrank": asdict(provenance()),
        "settings": asdict(settings),
        "identity": identity,
        "model": {"name": settings.model, "revision": spec.revision},
        "started": started,
    }


class Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """The stage that now ends."""
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 3)
        self._since = now


@dataclass(slots=True)
class Scoring:
    """What this run scored, apart from what earlier ones did."""

    queries: int = 0
    pairs: int = 0
    first_ended: float | None = None
    last_ended: float | None = None
    pairs_after_first: int = 0

    def add(self, figures: dict[str, Any]) -> None:
        """Count a finished block."""
        ended = figures["started"] + figures["seconds"]
        if self.first_ended is None:
            self.first_ended = ended
        else:
            self.pairs_after_first += figures["pairs"]
        self.last_ended = ended
        self.queries += figures["queries"]
        self.pairs += figures["pairs"]

    @property
    def steady_pairs_per_second(self) -> float | None:
        """From the end of the first block to the end of the last: without starting Ray and loading the model."""
        if self.first_ended is None or self.last_ended is None or self.last_ended <= self.first_ended:
            return None
        return round(self.pairs_after_first / (self.last_ended - self.first_ended), 2)


def finished(
    manifest: Manifest, plan: Plan, found: Totals, rejected: dict[str, dict[str, int]], scoring: Scoring, clock: Clock
) -> Manifest:
    """The manifest of a job that ended.

    Its rows add up: ``in`` is ``out`` and the queries that were set aside while preparing; ``out`` is ``ok`` and
    ``rejected``.
    """
    tokens, padding, pairs = (found.stats[name] for name in ("tokens", "padding", "pairs"))
    first_score_s = None if scoring.first_ended is None else round(scoring.first_ended - manifest["started"], 2)
    return manifest | {
        "state": "finished",
        "blocks": len(plan.rows_of_blocks),
        "block_size": plan.block_size,
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
        "seconds": clock.laps,
        "first_score_s": first_score_s,
        "pairs_per_second": round(scoring.pairs / max(clock.laps["score"], 1e-9), 2),
        "steady_pairs_per_second": scoring.steady_pairs_per_second,
        "finished": time.time(),
    }
