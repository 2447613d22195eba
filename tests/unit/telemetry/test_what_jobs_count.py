"""Where a job's figures pass its driver they are counted, and come to what its manifest has.

How it could fail users: a retry or a second look counts the same rows twice, and a dashboard runs ahead of the job.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossrank.cluster.pool import Pool
from crossrank.records import Reason, Rejected
from crossrank.reranking.manifest import Scoring
from crossrank.resumable.clock import Clock
from crossrank.resumable.rejects import rejected_file
from crossrank.telemetry.progress import Progress
from crossrank.training.progress_report import Telling
from crossrank.translation.execution import _RequestReport
from crossrank.translation.service import FailureKind, ServiceAnswer
from tests.unit.counted import counting, told
from tests.unit.translation.test_paid_requests import TEXTS, Job, Service, translated


def test_blocks_of_a_rerank_add_up() -> None:
    figures = {"started": 0.0, "seconds": 1.0, "worker": "a:1", "threads": 1}
    with counting() as kept:
        scoring = Scoring()
        for rejected in ('{"empty_query": 2}', "{}", '{"empty_query": 1, "score_not_finite": 1}'):
            sizes = {"queries": 10, "pairs": 80, "tokens": 900, "padding": 100, "truncated_documents": 3}
            scoring.add(figures | sizes | {"rejected": rejected})
    assert told(kept) == {
        "rows_done_total": 30,
        "pairs_total": 240,
        "tokens_total": 2700,
        "padding_tokens_total": 300,
        "truncated_documents_total": 9,
        "rows_rejected_total empty_query": 3,
        "rows_rejected_total score_not_finite": 1,
    }


def test_rows_that_are_set_aside_are_counted_once_by_reason(tmp_path: Path) -> None:
    with counting() as kept, rejected_file(str(tmp_path / "rejected.parquet")) as reject:
        for line in range(5000):  # more than are held in memory
            reject(Rejected("a.jsonl", line, None, Reason.MALFORMED if line % 2 else Reason.EMPTY_QUERY, "why"))
    assert told(kept) == {"rows_rejected_total malformed": 2500, "rows_rejected_total empty_query": 2500}


def test_a_stage_is_counted_when_it_ends() -> None:
    with counting() as kept:
        clock = Clock()
        clock.lap("prepare")
        clock.lap("score")
    assert told(kept) == {f"stage_seconds_total {name}": pytest.approx(s, abs=0.01) for name, s in clock.laps.items()}


def test_a_progress_says_how_far_it_is_with_what_earlier_runs_did() -> None:
    with counting() as kept, Progress("queries", 4000, done_before=1000, stream=io.StringIO()) as progress:
        progress.advance(500)
        assert told(kept) == {}, "single rows are not told"
    assert told(kept) == {"progress_units queries": 1500, "expected_units queries": 4000}


def test_requests_that_were_refused_as_too_fast_are_counted_and_paid_for_once(tmp_path: Path) -> None:
    def rule(text: str, tries: int) -> ServiceAnswer:
        if text == TEXTS[3]:
            return ServiceAnswer(FailureKind.FAILED, "no")
        return ServiceAnswer(FailureKind.THROTTLED, "slow down") if tries == 1 else translated(text)

    job = Job(tmp_path, Service(rule))
    with counting() as kept, Progress("texts", 40, stream=io.StringIO()) as progress:
        report = _RequestReport(progress, job.requests, job.gate, job.spending)
        report.update()
        job.requests.run(iter(TEXTS), 4, report.update)
        report.update()
        report.update()
    found = told(kept)
    assert found.pop("requests_per_second") > 0
    assert found == {
        "texts_total translated": 39,
        "texts_total failed": 1,
        "requests_total": 79,
        "throttled_requests_total": 39,
        "repeated_requests_total": 39,
        "paid_characters": 273,  # 39 of 7 characters: the one that failed is not paid
        "paid_usd": 0.000273,
        "progress_units texts": 40,
        "expected_units texts": 40,
    }


class _Read:
    """Groups that were read."""

    validate = None
    level = None

    def counts(self) -> dict[str, Any]:
        return {"train": {"groups": 90, "documents": 900, "set_aside": {"no_positive": 10}}}


def row(step: int, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "steps": 5,
        "loss": 0.5,
        "learning_rate": 1e-5,
        "grad_norm": 2.0,
        "skipped": 0,
        "groups_per_second": 4.0,
        "pairs": 50,
        "tokens": 600,
        "truncated": 1,
        "busy_ranks": 2,
        **more,
    }


def test_a_training_counts_steps_that_are_done_again_and_keeps_its_last_loss() -> None:
    sizes: Any = SimpleNamespace(num_groups=90, num_steps=20, save_steps=5, budget="64", precision="fp32")
    with counting() as kept:
        telling = Telling(sizes, _Read(), Pool(2, 2, 0.0, 2, "as given"))  # type: ignore[arg-type]
        telling.begin()
        with telling:
            telling.row({"began": 0})
            telling.row(row(5))
            telling.row(row(10, loss=None, grad_norm=None, skipped=5))
            telling.row({"step": 5, "validation": {"mrr@10": 0.75}, "tie_rate": 0.0})
            telling.row({"began": 5})  # a worker died
            telling.row(row(10, loss=0.25))
    found = told(kept)
    assert found == {
        "rows_read_total": 100,
        "steps_total": 15,
        "skipped_steps_total": 5,
        "pairs_total": 150,
        "tokens_total": 1800,
        "truncated_documents_total": 3,
        "loss": 0.25,
        "learning_rate": 1e-5,
        "gradient_norm": 2.0,
        "validation_ratio mrr@10": 0.75,
        "worker_restarts_total": 1,
        "progress_units steps": 10,
        "expected_units steps": 20,
    }
