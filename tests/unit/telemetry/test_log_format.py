"""Lines of a log as JSON, and that they stay as they are where nobody asked for it."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from crossrank.cli.main import main
from crossrank.errors import SettingsError
from crossrank.telemetry import job_context, log_format
from crossrank.telemetry.progress import Progress, say, say_next, show, show_plan
from crossrank.telemetry.verb_scope import verb_scope


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """CROSSRANK_LOG=json, and logging as it was at the end."""
    monkeypatch.setenv("CROSSRANK_LOG", "json")
    root = logging.getLogger()
    before = (root.handlers[:], sys.excepthook, threading.excepthook)
    stderr = sys.stderr
    root.handlers[:] = []
    yield
    logging.captureWarnings(False)
    root.handlers[:], sys.excepthook, threading.excepthook = before
    sys.stderr = stderr


def told(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_has_time_level_message_verb_job_and_node(
    as_json: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(job_context.SUBMISSION, '{"metadata": {"job_submission_id": "raysubmit_1"}}')
    with verb_scope("rerank"):
        say('two\nlines and a "quote", 중국어', rows=3)
    [line] = told(capsys.readouterr().err)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "message": 'two\nlines and a "quote", 중국어',
        "verb": "rerank",
        "job": "raysubmit_1",
        "node": socket.gethostname(),
        "rows": 3,
    }


def test_the_command_that_comes_next_is_a_line_of_the_verb_that_has_ended(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    say_next("mine", "crossrank train --groups mined")
    line = json.loads(capsys.readouterr().err)
    assert (line["verb"], line["next"]) == ("mine", "crossrank train --groups mined")
    assert line["message"] == "next: crossrank train --groups mined"


def test_plain_lines_stay_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello", rows=3)
    say("it is late", level="warning")
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] hello\n\[\d\d:\d\d:\d\d\] WARNING: it is late\n", capsys.readouterr().err)


def test_progress_carries_its_numbers_and_draws_no_bar_on_a_terminal(as_json: None) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with Progress("queries", 4000, done_before=1000, stream=stream) as progress:
        progress.advance(3000, "9 pairs/s")
    [line] = told(stream.getvalue())
    assert (line["unit"], line["done"], line["total"], line["detail"]) == ("queries", 4000, 4000, "9 pairs/s")
    assert line["message"] == "4,000 of 4,000 queries (100 %), 0 s, 9 pairs/s"
    assert 0 <= line["seconds"] < 5


def test_a_progress_without_a_total_says_none(as_json: None) -> None:
    stream = io.StringIO()
    with Progress("groups read", None, stream=stream) as progress:
        progress.advance(7)
    [line] = told(stream.getvalue())
    assert (line["done"], "total" in line, "seconds_left" in line) == (7, False, False)


def test_what_a_library_logs_is_a_line_with_its_traceback_as_a_field(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    log_format.set_up()
    logging.getLogger("some.library").warning("%d things", 3)
    try:
        raise ZeroDivisionError("by nothing")
    except ZeroDivisionError:
        logging.getLogger("some.library").exception("block %d failed", 7)
    warnings.warn("this is old", FutureWarning, stacklevel=1)
    first, second, third = told(capsys.readouterr().err)
    assert (first["level"], first["message"], first["logger"]) == ("warning", "3 things", "some.library")
    assert second["level"] == "error"
    assert "ZeroDivisionError: by nothing" in second["traceback"]
    assert "this is old" in third["message"]


def test_handlers_that_a_library_brought_write_json_too(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("library.with.its.own")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s\t%(message)s"))
    library.addHandler(handler)
    library.propagate = False
    try:
        log_format.set_up()
        library.error("no")
        assert [line["message"] for line in told(capsys.readouterr().err)] == ["no"]
    finally:
        library.removeHandler(handler)


def test_what_others_print_there_is_a_line_too(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    log_format.set_up()
    log_format.set_up()
    print("\x1b[33m(raylet)\x1b[0m A worker died.", file=sys.stderr)
    sys.stderr.write("loading:  50%\rloading: 100%\n")
    say("and ours stays as it is", rows=1)
    found = told(capsys.readouterr().err)
    assert [line["message"] for line in found] == [
        "(raylet) A worker died.",
        "loading:  50%",
        "loading: 100%",
        "and ours stays as it is",
    ]
    assert found[3]["rows"] == 1


def test_an_error_that_nobody_caught_is_one_line(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    log_format.set_up()
    try:
        raise RuntimeError("our\nown bug")
    except RuntimeError as error:
        sys.excepthook(RuntimeError, error, error.__traceback__)
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    first, second = told(capsys.readouterr().err)
    assert (first["level"], first["message"]) == ("critical", "RuntimeError: our\nown bug")
    assert 'raise RuntimeError("our' in first["traceback"]
    assert second["message"] == "ZeroDivisionError: division by zero"


def test_the_sentence_of_a_refusal_is_a_line_and_the_exit_status_stays(
    as_json: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["status", "nowhere"])
    assert ended.value.code == 2
    [line] = told(capsys.readouterr().err)
    assert line["level"] == "error"
    assert line["message"].startswith("nowhere holds no _manifest.json")


def test_results_that_are_text_are_one_line_each(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    show("a table\nof two lines")
    show_plan({"queries": 3, "workers": "2"})
    table, plan = told(capsys.readouterr().out)
    assert table["message"] == "a table\nof two lines"
    assert plan["plan"] == {"queries": 3, "workers": "2"}


def test_a_plan_in_plain_is_a_column(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan({"queries": 3000, "set_aside": {}})
    assert capsys.readouterr().out == f"{'queries':30} 3,000\n{'set_aside':30} none\n"


def test_another_kind_of_log_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSRANK_LOG", "xml")
    with pytest.raises(SettingsError, match="CROSSRANK_LOG is 'xml'; use one of plain, json, or unset it"):
        log_format.check_kind()
    with pytest.raises(SystemExit) as ended:
        main(["status", "nowhere"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("crossrank: CROSSRANK_LOG is 'xml'")
