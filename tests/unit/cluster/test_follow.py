"""Following the log of a job over a connection that breaks. (A real job server: tests/jobs.)

How it could fail users: lines are printed twice or not at all, a short absence of the head ends the command, one
without end never does, and a pipe that nobody reads any more is taken for a head that is away.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from crossrank.cluster.submission import verbs
from crossrank.errors import SettingsError

AWAY = SettingsError("no job server answers at http://head:8265")


class Status(str):
    """As Ray has it."""

    def is_terminal(self) -> bool:
        return self != "RUNNING"


@dataclass
class Details:
    status: Status
    driver_exit_code: int | None = 0
    submission_id: str = "job"
    message: str = ""


@dataclass
class Connections:
    """A stand-in for the cluster: what each connection tells, and how it ends; the last one is the last."""

    each: list[tuple[list[str], Exception | None]]
    clock: list[float] = field(default_factory=lambda: [0.0])
    is_last: bool = False

    def follow(self, job_id: str, tell: Callable[[str], None]) -> None:
        self.is_last = len(self.each) == 1
        texts, error = self.each[0] if self.is_last else self.each.pop(0)
        for text in texts:
            tell(text)
        if error is not None:
            raise error

    def details(self, job_id: str) -> Details:
        return Details(Status("SUCCEEDED" if self.is_last else "RUNNING"))


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Callable[[Connections], int]:
    def run(connections: Connections) -> int:
        def sleep(seconds: float) -> None:
            connections.clock[0] += seconds

        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setattr(time, "monotonic", lambda: connections.clock[0])
        cluster: Any = connections
        return verbs._follow(cluster, "job", "http://head:8265")

    return run


def test_a_connection_that_breaks_is_made_again_and_nothing_is_printed_twice(
    follow: Callable[[Connections], int], capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Connections([(["one\ntw"], AWAY), ([], AWAY), (["one\n", "two\nth"], None), (["one\ntwo\nthree\n"], None)])
    assert follow(broken) == 0
    assert capsys.readouterr().out == "one\ntwo\nthree\n"


def test_a_head_that_is_away_for_less_than_a_minute_is_waited_for_however_long_the_job_was_silent_before(
    follow: Callable[[Connections], int], capsys: pytest.CaptureFixture[str]
) -> None:
    silent = Connections([([], None)] * 100 + [([], AWAY)] * 50 + [(["end\n"], None)])
    assert follow(silent) == 0
    assert capsys.readouterr().out == "end\n"


def test_a_head_that_stays_away_is_given_up_after_a_minute(follow: Callable[[Connections], int]) -> None:
    gone = Connections([(["one\n"], None), ([], AWAY)])
    with pytest.raises(SettingsError, match="no job server answers"):
        follow(gone)
    assert 60 <= gone.clock[0] <= 65


LEFT = "job goes on, and nobody reads its log; end it by: crossrank jobs stop job --address http://head:8265"


def test_whoever_reads_no_more_ends_the_command_and_is_told_that_the_job_goes_on(
    follow: Callable[[Connections], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closed:
        def write(self, text: str) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        follow(Connections([(["one\n"], None)]))
    assert LEFT in capsys.readouterr().err


def test_ctrl_c_leaves_the_job_at_work_and_says_so(
    follow: Callable[[Connections], int], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted: Any = KeyboardInterrupt()
    assert follow(Connections([(["one\n"], interrupted)])) == 130
    assert LEFT in capsys.readouterr().err


@pytest.mark.parametrize("address", ["http://me:secret@head:8265", "s3://AKIASAMPLE:secret@bucket/x"])
def test_a_password_in_an_address_is_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(SettingsError, match="a user or a password in it; a cluster asks for a token") as refused:
        verbs.status("job", address)
    assert "secret" not in str(refused.value)
