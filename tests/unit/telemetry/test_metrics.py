"""What is counted, for which verb, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from crossrank.errors import InputError
from crossrank.telemetry import job_context
from crossrank.telemetry.job_metrics import PAIRS, ROWS_DONE, ROWS_REJECTED, RUNS, WORKERS
from crossrank.telemetry.metrics import MemorySink, send_to
from crossrank.telemetry.verb_scope import verb_scope
from tests.unit.counted import counting, told


@pytest.fixture
def kept() -> Iterator[MemorySink]:
    with counting() as found:
        yield found


def test_what_is_counted_adds_up_under_its_verb_and_labels(kept: MemorySink) -> None:
    with verb_scope("rerank"):
        ROWS_DONE.add(3)
        ROWS_DONE.add(4)
        ROWS_REJECTED.add(2, reason="empty_query")
        WORKERS.set(8)
        WORKERS.set(2)
    assert told(kept) == {
        "rows_done_total rerank": 7,
        "rows_rejected_total empty_query rerank": 2,
        "workers rerank": 2,
        "runs_total done rerank": 1,
    }


def test_nothing_is_no_series(kept: MemorySink) -> None:
    PAIRS.add(0)
    assert told(kept) == {}


def test_what_is_counted_before_there_is_a_ray_goes_there_when_there_is_one_and_once(kept: MemorySink) -> None:
    with verb_scope("mine"):
        PAIRS.add(5)
        later = MemorySink()
        send_to(later)
        assert (told(kept), told(later)) == ({}, {"pairs_total mine": 5})
        PAIRS.add(1)
    assert told(later)["pairs_total mine"] == 6


def test_a_label_that_is_not_declared_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="rr_job_rows_rejected_total"):
        ROWS_REJECTED.add(1)
    with pytest.raises(AssertionError, match="rr_job_pairs_total"):
        PAIRS.set(1)


def test_a_verb_inside_another_counts_for_the_outer_one(kept: MemorySink) -> None:
    with verb_scope("evaluate"):
        with verb_scope("rerank"):
            PAIRS.add(5)
        PAIRS.add(1)
    assert told(kept) == {"pairs_total evaluate": 6, "runs_total done evaluate": 1}


def test_a_stage_of_a_recipe_goes_by_its_own_name(kept: MemorySink) -> None:
    with verb_scope("recipe"):
        with verb_scope("mine"):
            PAIRS.add(5)
        assert job_context.verb() == "recipe"
    assert job_context.verb() is None
    assert told(kept) == {
        "pairs_total mine": 5,
        "runs_total done mine": 1,
        "runs_total done recipe": 1,
    }


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(InputError("no"), "refused"), (ZeroDivisionError(), "failed"), (KeyboardInterrupt(), "failed")],
)
def test_how_a_run_ended_is_counted(error: BaseException, outcome: str, kept: MemorySink) -> None:
    @verb_scope("train")
    def fails() -> None:
        raise error

    with pytest.raises(type(error)):
        fails()
    assert {labels for series, labels in kept.counts if series == RUNS} == {(("outcome", outcome), ("verb", "train"))}


def test_a_worker_knows_the_verb_the_job_and_the_log_of_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_LOG", "json")
    monkeypatch.setenv(job_context.SUBMISSION, '{"metadata": {"job_submission_id": "raysubmit_1", "job_name": "x"}}')
    with verb_scope("translate"):
        given = job_context.environment()
    assert given == {"CROSSRANK_LOG": "json", "CROSSRANK_VERB": "translate", "CROSSRANK_JOB": "raysubmit_1"}
    monkeypatch.delenv(job_context.SUBMISSION)
    job_context.work_for(given)
    assert (job_context.verb(), job_context.job()) == ("translate", "raysubmit_1")
    job_context.work_for({})
    assert (job_context.verb(), job_context.job()) == (None, None)
