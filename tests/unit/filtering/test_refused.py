"""What a user may get wrong: one sentence, before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli.main import main
from crossrank.errors import InputError, OutputError, SettingsError
from crossrank.filtering.job import filter as run_filter
from crossrank.filtering.settings import FilterSettings
from crossrank.records import Group
from tests.unit.filtering.made import group, written


@pytest.fixture
def groups(tmp_path: Path) -> str:
    return written(tmp_path / "groups.parquet", group())


@pytest.fixture
def settings(groups: str, tmp_path: Path) -> Callable[..., FilterSettings]:
    def settings(**changed: Any) -> FilterSettings:
        given = {"groups": groups, "source": "en", "target": "ko", "output": str(tmp_path / "out"), "workers": "1"}
        return FilterSettings(**{**given, **changed})

    return settings


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"source": None}, "--source is missing; give the two languages, such as --source en --target ko"),
        ({"target": "xx"}, "--target is 'xx', which is no language that the filters know; use one of af, "),
        ({"target": "en-US"}, "--source is en and --target is en-US, which is no translation; name two languages"),
        ({"clear": True, "source": None}, "--clear judges nothing, so --target has no place beside it; leave one out"),
        ({"output": ""}, "--output is empty; name a folder"),
        ({"limit": 0}, "--limit is 0; use at least 1"),
        ({"workers": "0"}, "--workers is '0'; use a number from 1, or MIN:MAX such as 1:8"),
        ({"repeats": -1}, "repeats is -1; use at least 0"),
        ({"teacher_drop": float("nan")}, "teacher_drop is nan; use at least 0"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    settings: Callable[..., FilterSettings], changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(**changed)
    assert str(refused.value).startswith(sentence)


def test_the_output_is_not_the_input(settings: Callable[..., FilterSettings], groups: str) -> None:
    with pytest.raises(OutputError, match="would overwrite --groups"):
        settings(output=groups)


def test_groups_that_were_never_translated_are_refused(settings: Callable[..., FilterSettings], tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.parquet", Group("q1", "what do pandas eat"), Group("q2", "who"))

    with pytest.raises(InputError) as refused:
        run_filter(settings(groups=plain))
    assert str(refused.value) == (
        f"{plain} holds groups, but none of the first 2 says what it was translated from (meta has no origin); filter "
        f"what crossrank translate wrote"
    )
    assert not (tmp_path / "out").exists()


def test_translations_of_other_languages_are_refused(settings: Callable[..., FilterSettings], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the first 1 is from en to de; give --source and --target as they"):
        run_filter(settings(target="de"))
    assert not (tmp_path / "out").exists()


def test_a_file_without_any_group_is_refused(settings: Callable[..., FilterSettings], tmp_path: Path) -> None:
    (tmp_path / "no.jsonl").write_text("not json\n[]\n")

    with pytest.raises(
        InputError, match=r"no.jsonl holds no group that can be used \(2 malformed; the first, .*; name what"
    ):
        run_filter(settings(groups=str(tmp_path / "no.jsonl")))


def test_groups_that_are_not_there_are_named(settings: Callable[..., FilterSettings], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.parquet does not exist; check the path"):
        run_filter(settings(groups=str(tmp_path / "nowhere.parquet")))


def test_an_output_that_cannot_be_written_is_named_before_any_work(
    settings: Callable[..., FilterSettings], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OutputError, match=r"file/out cannot be written .*; name another --output"):
        run_filter(settings(output=str(tmp_path / "file" / "out")))


def test_an_output_of_another_job_is_named(settings: Callable[..., FilterSettings], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_manifest.json").write_text('{"kind": "translate", "identity": {}, "state": "finished"}')

    with pytest.raises(OutputError, match="holds the result of another kind of job"):
        run_filter(settings())


@pytest.mark.parametrize("teacher", ["folder", "file"])
def test_a_teacher_that_cannot_be_loaded_is_named_before_ray_starts(
    settings: Callable[..., FilterSettings], tmp_path: Path, teacher: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("no model")

    with pytest.raises(Exception, match=teacher) as refused:
        run_filter(settings(teacher=str(tmp_path / teacher)))
    assert type(refused.value).__module__ == "crossrank.errors"
    assert not (tmp_path / "out").exists()


def test_the_command_line_says_one_sentence_and_exits_with_2(groups: str, tmp_path: Path, capsys: Any) -> None:
    arguments = ["filter", "--groups", groups, "--source", "en", "--target", "en", "--output", str(tmp_path / "out")]

    with pytest.raises(SystemExit) as exited:
        main(arguments)

    assert exited.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("crossrank: --source is en and --target is en, which")


def test_a_threshold_is_set_from_the_command_line(groups: str, tmp_path: Path) -> None:
    arguments = ["filter", "--groups", groups, "--source", "en", "--target", "ko", "--output", str(tmp_path / "out")]

    main([*arguments, "--set", "max_length_ratio=0.01", "--set", "length_slack=0", "--workers", "1"])

    assert '"length_ratio": 2' in (tmp_path / "out" / "_report" / "report.json").read_text()
