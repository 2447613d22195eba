"""`crossrank filter` with a teacher, on a real Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank import Reranker
from crossrank.errors import ModelRefused
from crossrank.filtering.job import filter as run_filter
from crossrank.filtering.settings import FilterSettings
from crossrank.filtering.teacher_rules import pairs_of
from crossrank.resumable.output import read_json
from tests.data.filtering import EXPECTED, SCORED, driver_of, group, read, settings_of, written
from tests.model.reference import assert_same_scores
from tests.ray.driver import Driver, wait_for
from tests.ray.stand_ins import LoggedSpec, RefusingSpec, pairs_started
from tests.unit.stand_ins import OverlapSpec

STARTS_S = 240.0
PROBE_PAIRS = 16
PAIRS = 8
"""Of a group: four documents with nothing against them, in two languages."""


def test_the_teacher_flags_and_scores_what_the_rules_left(cluster: None, tmp_path: Path) -> None:
    settings = FilterSettings(**settings_of(written(tmp_path / "groups.parquet", 30), tmp_path / "out"))

    manifest = run_filter(settings, OverlapSpec())

    groups = read(settings.output)
    assert [each.query_id for each in groups] == [f"q{n}" for n in range(30)]
    for each in groups:
        assert [list(doc.flags) for doc in each.docs] == EXPECTED
        teachers = [doc.meta.get("crossrank_filter", {}).get("teacher") for doc in each.docs]
        assert [found and (found["source"], found["target"]) for found in teachers] == SCORED
        assert [doc.teacher_score for doc in each.docs] == [5.0, 5.0, 0.0, 5.0, None]
    assert manifest["report"]["reasons"] == {"backend_error": 30, "teacher_drop": 30, "teacher_false_negative": 30}
    assert manifest["report"]["documents"] == {"total": 150, "clean": 60, "flagged": 90}
    samples = json.loads(Path(settings.output, "_report", "report.json").read_text())["samples"]
    assert {sample["doc_id"] for sample in samples["teacher_drop"]} == {"d1"}
    assert not Path(settings.output, "_prepared").exists(), "what waited for the teacher takes no room any more"


def test_a_part_that_went_missing_is_judged_and_compared_again(cluster: None, tmp_path: Path) -> None:
    settings = FilterSettings(**settings_of(written(tmp_path / "groups.parquet", 10), tmp_path / "out"))
    run_filter(settings, OverlapSpec())
    before = read(settings.output)
    Path(settings.output, "part-00003.parquet").unlink()

    manifest = run_filter(settings, OverlapSpec())

    assert read(settings.output) == before
    assert manifest["rows"]["resumed"] == 9


def test_what_the_teacher_said_comes_off_with_the_rest(cluster: None, tmp_path: Path) -> None:
    settings = FilterSettings(**settings_of(written(tmp_path / "groups.parquet", 3), tmp_path / "out"))
    run_filter(settings, OverlapSpec())

    run_filter(FilterSettings(groups=settings.output, output=str(tmp_path / "cleared"), clear=True, workers="1"))

    assert read(str(tmp_path / "cleared")) == [group(n) for n in range(3)]


def test_a_real_reranker_scores_both_languages(cluster: None, tiny_model: str, tmp_path: Path) -> None:
    groups = written(tmp_path / "groups.parquet", 2)
    settings = FilterSettings(**settings_of(groups, tmp_path / "out", teacher=tiny_model, max_length=64))

    manifest = run_filter(settings)

    [first, _] = read(settings.output)
    scores = [doc.meta["crossrank_filter"]["teacher"] for doc in first.docs[:4]]
    expected = Reranker.load(tiny_model, device="cpu", max_length=64).score(pairs_of(group(0))[:PAIRS])
    assert_same_scores([value for each in scores for value in (each["source"], each["target"])], expected)
    assert manifest["identity"]["teacher_revision"] == Reranker.load(tiny_model, device="cpu").revision


def test_a_teacher_that_is_refused_by_a_worker_is_one_sentence(cluster: None, tmp_path: Path) -> None:
    settings = FilterSettings(**settings_of(written(tmp_path / "groups.parquet", 3), tmp_path / "out"))

    with pytest.raises(ModelRefused, match="the folder was emptied meanwhile; put the model back"):
        run_filter(settings, RefusingSpec(str(tmp_path / "marker")))


def test_a_dry_run_measures_the_teacher(cluster: None, tmp_path: Path) -> None:
    settings = settings_of(written(tmp_path / "groups.parquet", 3), tmp_path / "out", dry_run=True)

    plan = run_filter(FilterSettings(**settings), OverlapSpec())

    assert plan["pairs"] == 2 * 15, "at most: rules may flag some before"
    assert plan["hours_of_the_teacher"] >= 0
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(1200)  # two drivers, each of which may take STARTS_S
def test_killed_twice_and_run_again_it_gives_what_it_gives_undisturbed(
    cluster: None, tmp_path: Path, drivers: list[Driver]
) -> None:
    number = 100  # as many blocks
    groups = written(tmp_path / "groups.parquet", number)
    run_filter(FilterSettings(**settings_of(groups, tmp_path / "undisturbed")), OverlapSpec())
    spec = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.02)
    settings = settings_of(groups, tmp_path / "out")

    def parts() -> int:
        return len(list((tmp_path / "out").glob("part-*.parquet")))

    def killed_at(goal: int) -> None:
        driver = driver_of(settings, tmp_path / f"driver-{goal}.log", spec)
        drivers.append(driver)
        wait_for(lambda: parts() >= goal or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said
        driver.kill()

    for goal in (5, 50):
        killed_at(goal)
    done_before = parts()
    manifest = run_filter(FilterSettings(**settings), spec)

    # The stand-in of the undisturbed run has another revision, and so another identity, but the same scores.
    assert read(str(tmp_path / "out")) == read(str(tmp_path / "undisturbed"))
    report = [read_json(str(tmp_path / name / "_report" / "report.json")) for name in ("out", "undisturbed")]
    assert report[0] == report[1]
    assert manifest["rows"]["resumed"] == done_before
    assert pairs_started(tmp_path / "scored.log", PROBE_PAIRS) <= (number + 2 * 2) * PAIRS, "a block or two a kill"
