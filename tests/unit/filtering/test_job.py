"""The whole job without a teacher: real files, real processes, no Ray."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from crossrank.errors import OutputError
from crossrank.filtering import blocks, job, processes
from crossrank.filtering.job import filter as run_filter
from crossrank.filtering.report import write_report
from crossrank.filtering.settings import FilterSettings
from crossrank.formats.groups_jsonl import write_groups as write_jsonl
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Group
from crossrank.resumable.layout import Layout
from crossrank.resumable.output import read_json, write_json
from tests.unit.filtering.made import (
    JUDGE,
    NEGATIVE,
    OTHER,
    POSITIVE,
    doc,
    flags,
    group,
    read,
    written,
)

ERR = ("Tigers hunt at night.", "err")


def many(number: int) -> list[Group]:
    """Groups with the ids q0, q1, ...; every third has a bad document."""
    return [
        group(
            doc(POSITIVE, 1.0), doc(NEGATIVE), doc(ERR if n % 3 == 0 else OTHER), query_id=f"q{n}", meta={"number": n}
        )
        for n in range(number)
    ]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BLOCK_GROUPS", 4)


@pytest.fixture
def settings(tmp_path: Path) -> FilterSettings:
    """Ten groups; 0, 3, 6 and 9 have a bad document."""
    groups = written(tmp_path / "groups.parquet", *many(10))
    return FilterSettings(groups=groups, source="en", target="ko", output=str(tmp_path / "out"), workers="1")


def report_of(settings: FilterSettings) -> Any:
    return json.loads(Path(settings.output, "_report", "report.json").read_text())


def test_every_group_comes_out_once_in_its_order_with_its_flags_and_all_it_had(settings: FilterSettings) -> None:
    manifest = run_filter(settings)

    assert read(settings.output) == [JUDGE.judged(each) for each in many(10)]
    assert [flags(each)[2] for each in read(settings.output)] == [
        ["backend_error"] if n % 3 == 0 else [] for n in range(10)
    ]
    assert manifest["rows"] == {"in": 10, "out": 10, "rejected": {}, "resumed": 0}
    assert manifest == read_json(str(Path(settings.output, "_manifest.json")))
    report = report_of(settings)
    assert report["documents"] == {"total": 30, "clean": 26, "flagged": 4}
    assert report["groups"] == {"total": 10, "clean": 6, "usable": 4}
    assert [sample["query_id"] for sample in report["samples"]["backend_error"]]
    assert pq.read_table(settings.output).num_rows == 10, "nothing else in the folder is taken for data"


@pytest.mark.parametrize("gone", ["report.json", "report.md", None])
def test_a_report_that_was_removed_is_written_again_as_it_was(
    settings: FilterSettings, capsys: pytest.CaptureFixture[str], gone: str | None
) -> None:
    manifest = run_filter(settings)
    folder = Path(settings.output, "_report")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    (folder / gone).unlink() if gone else shutil.rmtree(folder)
    capsys.readouterr()

    assert run_filter(settings) == manifest
    told = capsys.readouterr().err
    assert f"{settings.output} is finished; wrote its report again, {folder}/report.md" in told
    assert "nothing to do" not in told
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    run_filter(settings)
    assert "nothing to do" in capsys.readouterr().err


def test_several_processes_write_what_one_does(settings: FilterSettings, tmp_path: Path) -> None:
    other = replace(settings, output=str(tmp_path / "other"), workers="2")

    run_filter(settings)
    run_filter(other)

    names = sorted(path.name for path in Path(settings.output).glob("part-*"))
    assert len(names) == 3
    for name in names:
        assert Path(settings.output, name).read_bytes() == Path(other.output, name).read_bytes()
    for name in ("report.json", "report.md"):
        assert Path(settings.output, "_report", name).read_bytes() == Path(other.output, "_report", name).read_bytes()


def test_a_row_that_is_no_group_is_set_aside_and_counted(settings: FilterSettings, tmp_path: Path) -> None:
    lines = tmp_path / "groups.jsonl"
    write_jsonl(str(lines), many(6), lambda row: None)
    text = lines.read_text().splitlines()
    lines.write_text("\n".join([text[0], '{"query_id": "q", "docs": []}', "not json", *text[1:]]) + "\n")

    manifest = run_filter(replace(settings, groups=str(lines)))

    assert [each.query_id for each in read(settings.output)] == [f"q{n}" for n in range(6)]
    assert manifest["rows"] == {"in": 8, "out": 6, "rejected": {"malformed": 2}, "resumed": 0}
    rejected = pq.read_table(Path(settings.output, "_rejected", "rejected.parquet")).to_pylist()
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, "malformed"), (3, "malformed")]
    assert report_of(settings)["rejected"] == {"malformed": 2}


@pytest.mark.parametrize("bytes_left", [None, 100])
def test_a_part_that_is_gone_or_cut_off_is_made_again_and_no_other(
    settings: FilterSettings, bytes_left: int | None
) -> None:
    run_filter(settings)
    before = read(settings.output)
    times = {path.name: path.stat().st_mtime_ns for path in Path(settings.output).glob("part-*")}
    lost = Path(settings.output, "part-00001.parquet")
    lost.write_bytes(lost.read_bytes()[:bytes_left]) if bytes_left else lost.unlink()

    manifest = run_filter(settings)

    assert read(settings.output) == before
    assert manifest["rows"]["resumed"] == 6
    now = {path.name: path.stat().st_mtime_ns for path in Path(settings.output).glob("part-*")}
    assert {name for name in now if now[name] != times[name]} == {"part-00001.parquet"}


class Killed(BaseException):
    """As if the process had been killed."""


@pytest.mark.parametrize("write", range(1, 8))
def test_killed_at_any_write_and_run_again_nothing_is_lost_or_double(
    settings: FilterSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    undisturbed = replace(settings, output=str(tmp_path / "undisturbed"))
    run_filter(undisturbed)
    count = 0

    def dies(real: Any) -> Any:
        def dying(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count == write:
                raise Killed
            return real(*arguments)

        return dying

    with monkeypatch.context() as patch:
        patch.setattr(blocks, "write_groups", dies(write_groups))  # 3 parts
        patch.setattr(blocks, "write_json", dies(write_json))  # 3 tallies
        patch.setattr(job, "write_report", dies(write_report))
        with pytest.raises(Killed):
            run_filter(settings)
    manifest = run_filter(settings)

    assert read(settings.output) == read(undisturbed.output)
    assert report_of(settings) == report_of(undisturbed)
    assert manifest["rows"]["resumed"] == {1: 0, 2: 0, 3: 4, 4: 4, 5: 8, 6: 8, 7: 10}[write]


def test_other_thresholds_do_not_go_on_with_an_earlier_job(settings: FilterSettings) -> None:
    run_filter(settings)

    with pytest.raises(OutputError, match=r"other settings \(repeats was 4 and is 9\); use --overwrite"):
        run_filter(replace(settings, repeats=9))


def test_run_again_over_its_own_output_the_earlier_flags_are_replaced(settings: FilterSettings, tmp_path: Path) -> None:
    run_filter(settings)
    again = replace(settings, groups=settings.output, output=str(tmp_path / "again"), length_slack=0)
    straight = replace(settings, output=str(tmp_path / "straight"), length_slack=0)

    run_filter(again)
    run_filter(straight)

    assert read(again.output) == read(straight.output)
    assert report_of(again) == report_of(straight)


def test_cleared_groups_are_what_they_were_before_the_filter(settings: FilterSettings, tmp_path: Path) -> None:
    run_filter(settings)
    cleared = FilterSettings(groups=settings.output, output=str(tmp_path / "cleared"), clear=True, workers="1")

    manifest = run_filter(cleared)

    assert read(cleared.output) == many(10)
    assert manifest["rows"]["out"] == 10
    assert not Path(cleared.output, "_report").exists()


def test_a_limit_takes_the_first_groups_and_reads_no_further(settings: FilterSettings, tmp_path: Path) -> None:
    lines = tmp_path / "groups.jsonl"
    write_jsonl(str(lines), many(5), lambda row: None)
    with lines.open("a") as stream:
        stream.write("not json\n")

    manifest = run_filter(replace(settings, groups=str(lines), limit=5))

    assert manifest["rows"] == {"in": 5, "out": 5, "rejected": {}, "resumed": 0}


def test_overwrite_starts_afresh_and_leaves_what_is_not_ours(settings: FilterSettings) -> None:
    run_filter(settings)
    Path(settings.output, "notes.txt").write_text("mine")

    run_filter(replace(settings, overwrite=True, limit=2, repeats=9))

    assert len(read(settings.output)) == 2
    assert Path(settings.output, "notes.txt").read_text() == "mine"
    assert report_of(settings)["groups"]["total"] == 2


def test_a_dry_run_counts_and_judges_the_first_and_writes_nothing(
    settings: FilterSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run_filter(replace(settings, dry_run=True))

    assert (plan["groups"], plan["documents"]) == (10, 30)
    assert plan["reasons_of_the_first"] == {"backend_error": 2}  # q0 and q3 of the first block of four
    assert not Path(settings.output).exists()
    assert "flagged_of_the_first" in capsys.readouterr().out


def test_groups_that_cannot_be_judged_pass_and_are_counted(settings: FilterSettings, tmp_path: Path) -> None:
    some = [*many(2), replace(group(), lang="ja"), replace(group(), meta={})]

    manifest = run_filter(replace(settings, groups=written(tmp_path / "some.parquet", *some)))

    assert read(settings.output)[2:] == some[2:]
    assert manifest["report"]["groups"] == {
        "total": 4,
        "clean": 1,
        "no_origin": 1,
        "other_languages": 1,
        "usable": 1,
    }


def test_a_folder_of_parts_is_read_in_their_order(settings: FilterSettings, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for number, start in enumerate((0, 4, 8)):
        written(tmp_path / "parts" / f"part-0000{number}.parquet", *many(10)[start : start + 4])
    (tmp_path / "parts" / "_manifest.json").write_text("{}")

    run_filter(replace(settings, groups=str(tmp_path / "parts")))

    assert [each.query_id for each in read(settings.output)] == [f"q{n}" for n in range(10)]


def test_no_more_blocks_are_read_than_the_pool_needs(tmp_path: Path) -> None:
    read_ahead: list[int] = []

    def source() -> Iterator[blocks.Block]:
        for number in range(12):
            read_ahead.append(number)
            yield blocks.Block(number, number, many(1))

    task = blocks.JudgeTask(Layout(str(tmp_path)), JUDGE, 10, 0, for_teacher=False)
    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(processes.done_by(pool, task, source(), 4)):
            assert len(read_ahead) <= done + 4
    assert len(read_ahead) == 12


def test_a_part_of_somebody_else_is_named(settings: FilterSettings) -> None:
    run_filter(settings)
    Path(settings.output, "part-00007.parquet").write_bytes(Path(settings.output, "part-00001.parquet").read_bytes())
    Path(settings.output, "part-00002.parquet").unlink()

    with pytest.raises(OutputError, match=r"part-00007.parquet is no part of this job"):
        run_filter(settings)
