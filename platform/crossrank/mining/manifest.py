"""`_manifest.json` and `_report.json`: what was asked, what came out, and what was dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.corpus.store import TextStore
from crossrank.errors import beginning
from crossrank.mining.false_negatives import FALSE_NEGATIVES
from crossrank.mining.plan import MiningPlan
from crossrank.mining.totals import MiningTotals
from crossrank.resumable.manifest_shape import Shape, is_count
from crossrank.resumable.output import Manifest
from crossrank.retrieval.vectors import VectorStore

READ_AGAIN: Mapping[str, Shape] = {"blocks": is_count, "rows": {"out": is_count}, "mined": is_count}
"""What is read from the manifest of a finished job."""
SHOWN = 300
"""Characters of a dropped passage that the report shows."""


def report(found: MiningTotals, corpus: TextStore) -> dict[str, Any]:
    """The report of dropped passages: counts by reason, and samples with the beginning of their texts."""
    return {
        reason: {
            "probably_answers": reason in FALSE_NEGATIVES,
            "count": found.dropped[reason],
            "samples": [each | {"text": _beginning(each["doc_id"], corpus)} for each in samples],
        }
        for reason, samples in found.samples.items()
    }


def _beginning(doc_id: str, corpus: TextStore) -> str:
    [text] = corpus.texts(corpus.rows([doc_id]).tolist())
    return beginning(text, SHOWN)


def facts_of(plan: MiningPlan, found: MiningTotals, resumed: int, vectors: VectorStore | None) -> Manifest:
    """The facts of the manifest of a job that ended. Groups read are groups written plus groups set aside."""
    stats = found.stats
    return {
        "blocks": len(plan.rows_of_blocks),
        "chosen": {"language": f"{plan.language} ({plan.language_why})", "slices": len(plan.slices)},
        "rows": {
            "in": plan.counted["groups_read"],
            "out": found.groups,
            "set_aside": plan.groups_set_aside,
            "resumed": resumed,
            "without_negatives": found.without_negatives,
            "with_fewer_than_wanted": stats["exhausted"],
            "whose_positives_got_no_score": stats["unscored"],
        },
        "rejected": plan.rejected,
        "positives": {"labelled": plan.counted["positives"], "in_corpus": plan.counted["positives_in_corpus"]},
        "mined": stats["mined"],
        "mined_by_source": {"bm25": stats["bm25"], "dense": stats["dense"], "bm25+dense": stats["both"]},
        "dropped": dict(sorted(found.dropped.items())),
        "recall_at_10": found.first_stage(),
        "pairs": stats["pairs"],
        "tokens": stats["tokens"],
        "truncated_documents": stats["truncated"],
        "embeddings": None if vectors is None else vectors.folder,
    }
