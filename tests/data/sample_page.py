"""A report with everything that a page can show, made without any model: `python -m tests.data.sample_page FILE`."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.about import about
from crossrank.evaluation.examples import Example
from crossrank.evaluation.facts import Facts
from crossrank.evaluation.page import page_of
from crossrank.evaluation.rows import Row, ScoredPairs
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.evaluation.systems import Scale
from crossrank.evaluation.table import results_of

MEASURES = ["success@3", "mrr@10", "ndcg@10", "recall@10", "map"]
NUM_QUERIES = 400
LIST = 20
ANSWER = (
    "충전은 약 4시간 30분이 걸리며, 완료되면 표시등이 초록색으로 바뀝니다. 배터리 보증 기간은 2년입니다. "
    "https://example.org/a/very/long/address/that/no/browser/would/break/by/itself/0123456789012345678901234567890123456789"
)


def made() -> tuple[dict[str, Any], dict[str, dict[str, list[Example]]]]:
    """Results and examples of a first stage and four models, one of them incomplete."""
    draw = np.random.default_rng(5)
    one = Facts(LIST, {}, 0, 0, "wiki")
    facts = [
        replace(
            one,
            query_characters=int(draw.integers(8, 70)),
            document_characters=int(draw.integers(80, 1200)),
            source=("wiki", "news", "manuals")[number % 3],
        )
        for number in range(NUM_QUERIES)
    ]
    rows = [_row(draw, "no reranker", None, 0.55)]
    rows.append(_row(draw, "untouched", "sentence-transformers/all-MiniLM-L6-v2", 0.6, "cosine"))
    rows.append(_row(draw, "bge-reranker-v2-m3", "BAAI/bge-reranker-v2-m3", 0.78))
    rows.append(_row(draw, "ko-reranker fine-tuned for a day", "Dongjin-kr/ko-reranker", 0.82))
    hosted = _row(draw, "hosted", "https://api.example.com/v2/rerank#rerank-v3.5", 0.8, "probability")
    rows.append(replace(hosted, incomplete=7))
    results = results_of(rows, facts, MEASURES, resamples=300, seed=0)
    results |= {
        "about": about(EvaluateSettings(groups="data/korquad/questions.parquet", output="report"), 1_796_083_200),
        "contexts": 3,
        "first_stage": "BM25, ko (as 99 % of the letters of sampled passages are Hangul)",
        "set_aside": {"no_positive": 2, "unknown_document": 13},
        "has_order": True,
        "query_documents": 12,
        "relevant_from": None,
        "without_relevant": 0,
        "without_candidates": 4,
        "injected": 95,
        "crossrank": {"version": "0.1.0", "commit": "0123456789ab"},
    }
    speeds = {
        "untouched": 2210.4,
        "bge-reranker-v2-m3": 453.5,
        "ko-reranker fine-tuned for a day": 509.2,
        "hosted": 96.0,
    }
    for row in results["rows"]:
        speed = speeds.get(row["name"])
        row |= {"pairs": speed and NUM_QUERIES * LIST, "pairs_per_second": speed, "truncated_documents": speed and 31}
        row |= {"p50_ms": 1e5 / speed, "p99_ms": 2e5 / speed} if speed and row["name"] != "hosted" else {}
    queries = [f"배터리를 완전히 충전하는 데 얼마나 걸리나요? ({number})" for number in range(5)]
    examples = {
        row.name: {
            "wins": [Example(query, 7, 1, ANSWER, None) for query in queries],
            "losses": [Example(query, 1, 0, ANSWER, f"<b>{ANSWER}</b>") for query in queries[:2]],
        }
        for row in rows[1:-1]
    }
    return results, examples


def _row(draw: np.random.Generator, name: str, model: str | None, quality: float, scale: Scale = "logit") -> Row:
    ranks_Q = np.minimum(draw.geometric(quality, NUM_QUERIES), LIST)
    values = {"success@3": ranks_Q <= 3, "mrr@10": np.where(ranks_Q <= 10, 1 / ranks_Q, 0.0)}
    values |= {"ndcg@10": 1 / np.log2(ranks_Q + 1), "recall@10": ranks_Q <= 10, "map": 1 / ranks_Q}
    of = {measure: values_Q.astype(float) for measure, values_Q in values.items()}
    scores = None if model is None else _scores(draw, scale)
    nothing_Q = np.zeros(NUM_QUERIES, dtype=np.int32)
    return Row(
        name, model, {"retrieved": of, "injected": of}, ranks_Q.astype(np.int32), nothing_Q, 0.004, 0, {}, scores, scale
    )


def _scores(draw: np.random.Generator, scale: Scale) -> ScoredPairs:
    """Of every list one document is relevant, a few are judged not to be, and most nobody judged."""
    labels_P: NDArray[np.float32] = np.full(NUM_QUERIES * LIST, np.nan, dtype=np.float32)
    labels_P[::LIST] = 1
    for place in (3, 4, 5):
        labels_P[place::LIST] = 0
    logits_P = draw.normal(-4.0, 2.0, len(labels_P)) + np.where(labels_P == 1, 6.5, 0.0)
    found = {"logit": logits_P, "probability": 1 / (1 + np.exp(-logits_P)), "cosine": np.tanh(logits_P / 8)}[scale]
    return ScoredPairs(found.astype(np.float32), labels_P)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page_of(*made()), encoding="utf-8")
