"""Progress as it is seen off a terminal and on one."""

import io
import re

import pytest

from crossrank.telemetry import progress
from crossrank.telemetry.progress import Progress, say


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def strftime(self, _: str) -> str:
        return "12:00:00"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_message_has_the_time_and_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("hello")
    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\[\d\d:\d\d:\d\d\] hello\n", error)


def test_a_line_every_few_seconds_and_one_at_the_end(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("queries", 4000, done_before=1000, stream=stream) as seen:
        clock.now += 4
        seen.advance(500, "9 pairs/s")
        assert stream.getvalue() == "", "not due yet"
        clock.now += 1
        seen.tick()
        seen.tick()
        # The first units came after the start-up, so they tell no speed yet.
        assert stream.getvalue() == ("[12:00:00] 1,500 of 4,000 queries (38 %), 5 s, 9 pairs/s\n")
        clock.now += 9
        seen.advance(500, "9 pairs/s")
        clock.now += 3700
        seen.advance(2000)
        clock.now += 1
    assert stream.getvalue().splitlines()[1:] == [
        # 500 in the 10 s since, so the 2,000 left take 40 s.
        "[12:00:00] 2,000 of 4,000 queries (50 %), 14 s, about 0:00:40 left, 9 pairs/s",
        "[12:00:00] 4,000 of 4,000 queries (100 %), 3714 s",
        "[12:00:00] 4,000 of 4,000 queries (100 %), 3715 s",
    ]


def test_hours_left_are_hours(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("pairs", 3602, stream=stream) as seen:
        seen.advance(1)
        clock.now += 5
        seen.advance(1)
        assert "about 5:00:00 left" in stream.getvalue()  # 3,600 left at one in 5 s


def test_nothing_done_yet_promises_no_time(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("queries", 10, stream=stream) as seen:
        clock.now += 6
        seen.tick()
        assert stream.getvalue() == "[12:00:00] 0 of 10 queries (0 %), 6 s\n"


def test_nothing_to_do_is_all_of_it(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("queries", 0, stream=stream):
        pass
    assert stream.getvalue() == "[12:00:00] 0 of 0 queries (100 %), 0 s\n"


def test_work_without_a_known_end_counts_what_is_done(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("lines", None, stream=stream) as seen:
        seen.advance(2000)
        clock.now += 5
        seen.advance(500)
        clock.now += 1
    assert stream.getvalue().splitlines() == ["[12:00:00] 2,500 lines, 5 s", "[12:00:00] 2,500 lines, 6 s"]


def test_work_that_fails_has_no_last_line(clock: Clock) -> None:
    stream = io.StringIO()
    with pytest.raises(KeyError), Progress("queries", 10, stream=stream):
        raise KeyError
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_bar_that_starts_at_what_was_done() -> None:
    terminal = Terminal()
    with Progress("queries", 10, done_before=4, stream=terminal) as seen:
        seen.advance(6, "9 pairs/s")
        seen.tick()
    assert "4/10" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()
    assert "9 pairs/s" in terminal.getvalue()
    assert "[12:00:00]" not in terminal.getvalue()


def test_the_time_left_is_told_by_the_last_minute(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("queries", 2000, stream=stream) as seen:
        for _ in range(100):  # 10 a second, then a machine that has become slow: 1 in 10 s
            clock.now += 1
            seen.advance(10)
        for _ in range(12):
            clock.now += 10
            seen.advance(1)
        last = stream.getvalue().splitlines()[-1]
    # 988 are left, at 6 in the last minute or 7 in the 70 s that its oldest figure is of.
    assert "1,012 of 2,000 queries" in last
    assert "about 2:44:40 left" in last


def test_work_that_stands_still_promises_no_hour_of_its_end(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress("queries", 192, stream=stream) as seen:
        clock.now += 20
        seen.advance(2)
        clock.now += 10
        seen.advance(2)
        clock.now += 600
        seen.tick()
        last = stream.getvalue().splitlines()[-1]
    assert last == "[12:00:00] 4 of 192 queries (2 %), 630 s, none finished for 0:10:00"
    assert "left" not in last


def test_a_million_units_take_no_memory_to_time(clock: Clock) -> None:
    with Progress("rows", 10**6, stream=io.StringIO()) as seen:
        for _ in range(10**5):
            clock.now += 0.0001
            seen.advance(1)
        assert len(seen._finished) < 100
