"""A verb that had nothing to do does not end as if it had done something: status 2, why, and the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from crossrank.cli import main
from crossrank.errors import InputError, kind_of
from crossrank.formats import groups_jsonl
from crossrank.formats.set_aside import SetAside
from crossrank.records import Candidate, Group, Reason, Rejected
from crossrank.telemetry.figures import counted, in_words
from crossrank.telemetry.progress import show_plan
from crossrank.translation.memory.tsv import ImportSettings, import_memory

EMPTY, MALFORMED = "", '{"query_id": "1", "docs": []}\nnot json\n'
SET_ASIDE = "2 malformed; the first, "
BOTH = pytest.mark.parametrize(("content", "why"), [(EMPTY, "it is empty"), (MALFORMED, SET_ASIDE)])


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main.main(list(arguments))
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].removeprefix("crossrank: ")


@BOTH
def test_pairs_of_which_none_can_be_scored_are_refused_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], content: str, why: str
) -> None:
    Path("in.jsonl").write_text(content)
    told = refused(capsys, "score", "--model", "no-such-model", "--input", "in.jsonl", "--output", "out.jsonl")
    assert told.startswith(f"in.jsonl holds no pair that can be used ({why}")
    assert told.endswith('); write {"query": "...", "document": "..."} on each line')
    assert not list(Path().glob("out.jsonl*"))


@BOTH
@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_groups_of_which_none_can_be_translated_are_refused_in_a_dry_run_too(
    capsys: pytest.CaptureFixture[str], content: str, why: str, flags: list[str]
) -> None:
    Path("in.jsonl").write_text(content)
    languages = ["--source", "en", "--target", "ko", "--backend", "memory"]
    told = refused(capsys, "translate", "--groups", "in.jsonl", *languages, "--output", "out", *flags)
    assert told.startswith(f"in.jsonl holds no group in en that can be used ({why}")
    assert told.endswith("); check --groups, and --source")


def test_a_memory_that_has_none_of_the_texts_translates_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.tsv").write_text("source\ttranslation\nelsewhere\t다른 글\n")
    import_memory(ImportSettings(memory="memory", input="m.tsv", source="en", target="ko"))
    groups_jsonl.write_groups("in.jsonl", [Group("q", "a query", (Candidate("d", "a text", label=1.0),))], _fail)
    languages = ["--source", "en", "--target", "ko", "--backend", "memory", "--memory", "memory"]
    told = refused(capsys, "translate", "--groups", "in.jsonl", *languages, "--output", "out")
    assert told == (
        f"the memory {Path('memory').absolute()} has none of the 2 texts of in.jsonl; name the --memory that has them, "
        f"or translate them with --backend amazon or seq2seq"
    )


def _fail(row: Rejected) -> None:
    raise AssertionError(row)


@BOTH
@pytest.mark.parametrize("flags", [["--clear"], ["--source", "en", "--target", "ko"]])
def test_groups_of_which_none_can_be_filtered_are_refused(
    capsys: pytest.CaptureFixture[str], content: str, why: str, flags: list[str]
) -> None:
    Path("in.jsonl").write_text(content)
    told = refused(capsys, "filter", "--groups", "in.jsonl", *flags, "--output", "out")
    assert told.startswith(f"in.jsonl holds no group that can be used ({why}")
    assert not Path("out").exists()


@pytest.mark.parametrize("source_format", ["groups-jsonl", "flagembedding"])
def test_a_file_without_a_row_is_not_converted(capsys: pytest.CaptureFixture[str], source_format: str) -> None:
    Path("in.jsonl").write_text("")
    told = refused(capsys, "convert", "--from", source_format, "--to", "groups", "in.jsonl", "out.parquet")
    assert told == "in.jsonl is empty: there is nothing to write as groups; check the path"
    assert not Path("out.parquet").exists()


def test_a_plan_says_what_was_set_aside_in_words_and_not_as_python_prints_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_plan({"queries": 3000, "set_aside": {Reason.MALFORMED: 2, Reason.EMPTY_QUERY: 1}, "scorer": {"model": "m"}})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == ["3,000", "1 empty_query, 2 malformed", "model m"]
    assert "Reason" not in "".join(lines)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "none"),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (0.5, "0.5"),
        (1234.5678, "1,234.57"),
        (3.0, "3"),
        (0.0, "0"),
        (0.00002, "2e-05"),
        ({}, "none"),
        ([], "none"),
        (["a", "b"], "a, b"),
        ({"a": None, "b": {}}, "none"),
        ({"in": 3, "out": 2}, "3 in, 2 out"),
        ({"out": 2, "rejected": {Reason.MALFORMED: 1}}, "out 2, rejected 1 malformed"),
    ],
)
def test_a_figure_in_words(value: object, words: str) -> None:
    assert in_words(value) == words


def test_counts_name_reasons_and_leave_out_what_did_not_happen() -> None:
    assert counted({Reason.NO_POSITIVE: 1200, Reason.EMPTY_QUERY: 0, Reason.MALFORMED: 1}) == (
        "1 malformed, 1,200 no_positive"
    )
    assert counted({}) == "none"


def test_where_nothing_is_left_the_first_row_says_why() -> None:
    aside = SetAside()
    aside.refuse_if_all(1, "f", "row", "check it")
    with pytest.raises(InputError, match=r"^f holds no row that can be used \(it is empty\); check it$"):
        aside.refuse_if_all(0, "f", "row", "check it")
    aside(Rejected("f", 7, "q1", Reason.MALFORMED, "text is missing"))
    aside(Rejected("f", 8, None, Reason.MALFORMED, "text is null"))
    with pytest.raises(InputError) as error:
        aside.refuse_if_all(0, "f", "row", "check it")
    assert (
        str(error.value)
        == "f holds no row that can be used (2 malformed; the first, f line 7 q1: text is missing); check it"
    )


def test_a_dry_run_as_json_has_reasons_as_texts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSRANK_LOG", "json")
    show_plan({"set_aside": {Reason.MALFORMED: 2}})
    assert json.loads(capsys.readouterr().out)["plan"] == {"set_aside": {"malformed": 2}}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ReadTimeout", "read timeout"),
        ("RuntimeError", "runtime error"),
        ("OSError", "OS error"),
        ("EndpointConnectionError", "endpoint connection error"),
        ("UnicodeDecodeError", "unicode decode error"),
        ("HTTPClientError", "HTTP client error"),
        ("error", "error"),
    ],
)
def test_an_error_without_a_text_is_told_by_its_kind_and_not_by_the_name_of_a_class(name: str, words: str) -> None:
    assert kind_of(type(name, (Exception,), {})()) == words


def test_a_memory_of_which_no_line_is_a_translation_says_the_first_reason(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.tsv").write_text("source\ttranslation\none column\na\tb\tc\n")
    told = refused(capsys, "memory", "import", "--memory", "m", "--input", "in.tsv", "--source", "en", "--target", "ko")
    assert told == (
        "in.tsv holds no translation that can be used (2 malformed; the first, in.tsv line 2: has 1 columns, and the "
        "first line names 2); write a source and its translation on each line, with a tab between them"
    )


def test_a_file_of_which_no_row_can_be_converted_says_the_first_reason_in_the_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("in.jsonl").write_text('{"query_id": "1", "query": "q", "docs": 7}\n')
    told = refused(capsys, "convert", "--from", "groups", "--to", "trec-qrels", "in.jsonl", "out.qrels")
    assert "none could be written as trec-qrels (1 malformed; the first, in.jsonl line 1" in told


def test_a_memory_that_is_no_text_is_not_called_empty(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.tsv").write_bytes(b"PAR1\xff\xfe\xff")
    told = refused(capsys, "memory", "import", "--memory", "m", "--input", "in.tsv", "--source", "en", "--target", "ko")
    assert told.startswith("in.tsv holds no translation that can be used (1 invalid_utf8; the first, in.tsv line 1: ")
