"""A recipe that runs: stages that need neither Ray nor a model, stopped in the middle, gone on with, changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from crossrank.cli import main
from crossrank.errors import JobFailed, OutputError, SettingsError
from crossrank.formats.groups_parquet import read_groups
from crossrank.recipe.run import recipe
from crossrank.verbs import VERBS
from tests.unit.recipe.conftest import ENGLISH, Write

CONTENT = """
output: out
import: {format: msmarco-triplets, input: triplets.jsonl}
memory: {input: en-ko.tsv}
translate: {source: en, target: ko, backend: memory}
filter: {}
"""


@pytest.fixture
def file(write: Write, triplets: str) -> str:
    return write("r.yaml", CONTENT)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def queries(output: str) -> list[str]:
    return [group.query for _, group in read_groups(output, lambda row: pytest.fail(str(row)))]


def test_english_triplets_become_korean_groups_and_a_second_run_says_that_all_is_done(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(file)
    korean = [ENGLISH["how long does the battery last?"], ENGLISH["how do I clean the brush?"]]
    assert queries("out/translated") == queries("out/filtered") == korean
    first = said(capsys)
    assert (
        "stage 1 of 4, import: crossrank convert --from msmarco-triplets --to groups triplets.jsonl out/groups/"
        in first
    )
    assert "nothing to do" not in first

    files = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.parquet")}
    recipe(file)
    assert said(capsys).count("nothing to do") == 4
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.parquet")} == files


def test_a_recipe_that_was_stopped_goes_on_and_repeats_no_finished_stage(
    file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(settings: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(VERBS, "filter", replace(VERBS["filter"], run=stopped))
        with pytest.raises(KeyboardInterrupt):
            recipe(file)
    capsys.readouterr()
    recipe(file)
    assert said(capsys).count("nothing to do") == 3
    assert len(queries("out/filtered")) == 2


def test_an_import_that_was_killed_before_it_was_noted_is_made_again(file: str) -> None:
    recipe(file, until="import")
    Path("out/_recipe/import.json").unlink()
    Path("out/groups/groups.parquet").write_bytes(b"half")
    recipe(file)
    assert len(queries("out/filtered")) == 2


def test_until_stops_after_a_stage(file: str) -> None:
    recipe(file, until="translate")
    assert (Path("out/translated").exists(), Path("out/filtered").exists()) == (True, False)


def test_another_setting_is_refused_by_the_stage_in_its_own_words(file: str, write: Write) -> None:
    recipe(file)
    write("r.yaml", CONTENT.replace("filter: {}", "filter: {length_slack: 99}"))
    with pytest.raises(OutputError) as refused:
        recipe(file)
    assert str(refused.value).startswith("the stage filter of r.yaml: ")
    assert str(refused.value).endswith(
        "holds a job with other settings (length_slack was 16 and is 99); use --overwrite to start afresh, or another "
        "--output"
    )
    recipe(file, overwrite="filter")
    assert len(queries("out/filtered")) == 2


def test_another_input_is_refused_by_the_import_and_taken_where_one_starts_afresh(file: str, write: Write) -> None:
    recipe(file)
    row = '{"query": "how do I clean the brush?", "pos": ["Pull the brush out and cut the hair off with scissors."]}\n'
    write("triplets.jsonl", row)
    with pytest.raises(OutputError) as refused:
        recipe(file)
    assert (
        "the stage import of r.yaml: out/groups/groups.parquet holds a job with other settings (the input "
        "triplets.jsonl has changed since)" in str(refused.value)
    )
    assert str(refused.value).endswith("start afresh with --overwrite import, or name another output")
    recipe(file, overwrite="import")
    assert queries("out/filtered") == [ENGLISH["how do I clean the brush?"]]


def test_what_a_stage_cannot_do_names_the_stage(file: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(settings: object) -> None:
        raise JobFailed("a worker died; run the same command again")

    monkeypatch.setitem(VERBS, "translate", replace(VERBS["translate"], run=failing))
    with pytest.raises(JobFailed, match=r"^the stage translate of r\.yaml: a worker died; run the same command again$"):
        recipe(file)


def test_a_typo_in_the_last_stage_is_told_before_the_first_runs(file: str, write: Write) -> None:
    write("r.yaml", CONTENT.replace("filter: {}", "filter: {lenght_slack: 99}"))
    with pytest.raises(
        SettingsError, match="the section has the key lenght_slack, which is not known; write length_slack"
    ):
        recipe(file)
    assert not Path("out").exists()


def test_a_dry_run_says_what_is_known_and_writes_nothing(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(file, dry_run=True)
    out = said(capsys)
    assert "import reads 1 files, 0.0 MB" in out
    assert "memory reads 1 files, 0.0 MB" in out
    assert "translate waits for import" in out
    assert "filter waits for import" in out
    assert not Path("out").exists()

    recipe(file, until="memory")
    capsys.readouterr()
    recipe(file, dry_run=True)
    captured = capsys.readouterr()
    assert "import is done: out/groups/groups.parquet" in captured.err
    assert "filter waits for translate" in captured.err
    assert "texts_to_translate             0" in captured.out
    assert not Path("out/translated").exists()


@pytest.mark.parametrize("flag", ["--until", "--overwrite"])
def test_a_stage_that_the_recipe_does_not_have_is_named_with_those_it_has(
    file: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["recipe", file, flag, "train"])
    assert ended.value.code == 2
    assert said(capsys) == (
        f"crossrank: {flag} is train, which r.yaml does not have; its stages are import, memory, translate, filter\n"
    )


def test_the_command_takes_variables_and_keys(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    main.main(["recipe", file, "--set", "output=elsewhere", "--set", "filter.samples=0", "--until", "import"])
    assert Path("elsewhere/groups/groups.parquet").exists()


def test_a_verb_without_a_dry_run_says_so_and_does_nothing(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    recipe(write("m.yaml", "output: out\nmerge: {base: B, tuned: T}\n"), dry_run=True)
    assert "merge has no dry run" in said(capsys)
    assert not Path("out").exists()
