"""The command line as a program: exit status and what stands on standard error."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from crossrank import __version__
from crossrank.cli import main
from crossrank.errors import JobFailed, MissingExtra

INPUT = ["--model", "m", "--output", "o", "--queries", "q", "--corpus", "c"]


def exit_status(*arguments: str) -> int:
    try:
        main.main(list(arguments))
    except SystemExit as stopped:
        return int(stopped.code or 0)
    return 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "o"], "--model is missing; give as a flag, or as a key of --config"),
        ([*INPUT, "--workers", "0"], "--workers is '0'; use a number from 1, or MIN:MAX such as 1:8"),
        ([*INPUT, "--workers", "a:b"], "--workers is 'a:b'; use a number from 1, or MIN:MAX such as 1:8"),
        ([*INPUT, "--depth", "0"], "--depth is 0; use at least 1"),
        (
            [*INPUT, "--groups", "g"],
            "--groups carry their queries, so --queries has no place beside them; leave one out",
        ),
        ([*INPUT, "--config", "/nowhere.yaml"], "/nowhere.yaml does not exist; check the path"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert exit_status("rerank", *arguments) == 2
    assert capsys.readouterr() == ("", f"crossrank: {sentence}\n")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("dpeth: 5\n", "c.yaml has the key dpeth, which is not known; write depth"),
        ("depth: ten\n", "depth in c.yaml is 'ten', and a whole number is wanted"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(content)
    assert exit_status("rerank", *INPUT, "--config", "c.yaml") == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"crossrank: {sentence}")


def test_an_input_that_is_wrong_is_named_after_the_line_that_says_what_runs(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    missing = str(tmp_path / "no-model")
    assert exit_status("rerank", *INPUT, "--model", missing) == 2
    [provenance, sentence] = capsys.readouterr().err.splitlines()
    assert f"crossrank {__version__} from " in provenance
    assert sentence == (
        f"crossrank: {missing} is neither a folder, nor s3://, nor a hub id of the form owner/name; check the path"
    )


@pytest.mark.parametrize("arguments", [["--depth", "ten"], ["--no-such-flag"], ["--normalize", "minmax"], ["extra"]])
def test_a_flag_that_cannot_be_parsed_is_status_2_without_a_traceback(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert exit_status("rerank", *INPUT, *arguments) == 2
    error = capsys.readouterr().err
    assert arguments[0] in error
    assert "Traceback" not in error


def test_an_unknown_verb_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("rerrank") == 2
    assert capsys.readouterr().err == "crossrank: there is no verb rerrank; write crossrank rerank\n"


def raising(error: BaseException) -> click.Command:
    @click.command()
    def verb() -> None:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (JobFailed("it broke"), 1, "crossrank: it broke\n"),
        (
            MissingExtra.of("kiwipiepy", "korean", "--language ko-kiwi"),
            2,
            "crossrank: --language ko-kiwi needs kiwipiepy, which is not installed; pip install 'crossrank[korean]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'boto3.session'", name="boto3.session"),
            2,
            "crossrank: boto3 is not installed, and crossrank needs it; install crossrank again, which brings it\n",
        ),
    ],
)
def test_the_status_says_whose_fault_it_was(
    capsys: pytest.CaptureFixture[str], error: Exception, status: int, line: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main.run(raising(error), [])
    assert (stopped.value.code, capsys.readouterr().err) == (status, line)


def test_an_interrupted_command_is_status_1() -> None:
    with pytest.raises(SystemExit) as stopped:
        main.run(raising(KeyboardInterrupt()), [])
    assert stopped.value.code == 1


@pytest.mark.parametrize("bug", [ZeroDivisionError(), ModuleNotFoundError("no such", name="crossrank.gone")])
def test_our_own_bugs_are_not_hidden(bug: Exception) -> None:
    with pytest.raises(type(bug)):
        main.run(raising(bug), [])


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["rerank", "--help"]])
def test_asking_is_no_mistake(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert exit_status(*arguments) == 0
    out, error = capsys.readouterr()
    assert error == ""
    if arguments == ["--version"]:
        assert out == f"crossrank, version {__version__}\n"


def test_a_program_without_standard_streams_does_its_work_and_writes_nothing_of_it_into_a_file(tmp_path: Path) -> None:
    """As under a supervisor that closes them: the next file that is opened would be number 2."""
    triplets = [{"anchor": f"query {n}", "positive": "yes", "negative": "no"} for n in range(3)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in triplets))
    convert = [sys.executable, "-m", "crossrank", "convert", "--from", "st-triplets", "--to", "st-triplets"]
    command = [
        "sh",
        "-c",
        'exec "$@" <&- >&- 2>&-',
        "sh",
        *convert,
        str(tmp_path / "t.jsonl"),
        str(tmp_path / "o.jsonl"),
    ]
    assert subprocess.run(command, check=False).returncode == 0
    written = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [row["anchor"] for row in written] == ["query 0", "query 1", "query 2"]
