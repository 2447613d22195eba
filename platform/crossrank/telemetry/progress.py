"""Progress that people see: a bar on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

from crossrank.errors import printable
from crossrank.telemetry import job_context, log_format
from crossrank.telemetry.figures import in_words
from crossrank.telemetry.job_metrics import EXPECTED, PROGRESS

LINE_EVERY_S = 5.0
RATE_OF_S = 60.0
"""Seconds whose rate gives the time left: what was fast an hour ago may be slow now."""


def say(message: str, stream: TextIO | None = None, level: str = "info", **fields: Any) -> None:
    """Print one line with the time of day, at once.

    Args:
        level: level as in `logging`, in small letters.
        fields: numbers and names in the line, as fields where lines are JSON.
    """
    if log_format.is_json():
        line = log_format.as_json(message, level, **fields)
    else:
        line = f"[{time.strftime('%H:%M:%S')}] {'WARNING: ' if level == 'warning' else ''}{printable(message)}"
    print(f"{line}\n", end="", file=stream or sys.stderr, flush=True)  # one write, or lines of two threads mix


def say_once(about: str, message: str) -> None:
    """Print a line once per verb, however often the verb reads what the line is about."""
    if job_context.is_new(about):
        say(message)


def say_next(verb: str, command: str | None) -> None:
    """Print the command that usually comes next, as the last line of a verb that has ended; None prints nothing."""
    if command is not None:
        say(f"next: {command}", verb=verb, next=command)


def show(text: str) -> None:
    """Print a result that is text on standard output; one line of JSON where lines are JSON."""
    print(log_format.as_json(text, "info") if log_format.is_json() else printable(text, kept="\n"), flush=True)


def show_plan(plan: dict[str, Any]) -> None:
    """Print what a dry run found: a line for each figure, or one of JSON with all of them as the field ``plan``."""
    if log_format.is_json():
        print(log_format.as_json("dry run", "info", plan=plan), flush=True)
        return
    width = max(30, *map(len, plan))
    for name, value in plan.items():
        print(f"{name:{width}} {printable(in_words(value))}")


class _Beat:
    """Calls a function once a second while a ``with`` block runs."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(1.0):
            self._call()


class Waiting:
    """Says every few seconds that something without steps of its own still goes on. Use it in a ``with`` block."""

    def __init__(self, what: str, stream: TextIO | None = None) -> None:
        self._what = what
        self._stream = stream
        self._started = self._last_line = time.monotonic()
        self._beat = _Beat(self._tick)

    def __enter__(self) -> Waiting:
        self._beat.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat.stop()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY_S:
            self._last_line = now
            seconds = now - self._started
            say(f"{self._what}, {seconds:.0f} s", self._stream, seconds=round(seconds, 1))


class Progress:
    """Counts units of work towards a total; None where it is known at the end alone. Use it in a ``with`` block."""

    def __init__(self, what: str, total: int | None, done_before: int = 0, stream: TextIO | None = None) -> None:
        self._what = what
        self._total = total
        self._done_before = done_before
        self._done = 0
        self._detail = ""
        self._finished: deque[tuple[float, int]] = deque()
        """Times at which units were finished, each with the count until then: those of the last minute, and one before.

        The time before the first is start-up, and no measure of speed."""
        self._stream = stream or sys.stderr
        self._bar: tqdm[None] | None = None
        self._started = self._last_line = time.monotonic()
        self._lock = threading.Lock()
        self._beat = _Beat(self.tick)

    def __enter__(self) -> Progress:
        if self._stream.isatty() and not log_format.is_json():
            self._bar = tqdm(
                total=self._total, initial=self._done_before, unit=self._what, file=self._stream, dynamic_ncols=True
            )
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.stop()
        if kind is None:
            self._count()
        if self._bar is not None:
            self._bar.close()
        elif kind is None:
            self._line()

    def advance(self, units: int, detail: str = "") -> None:
        """Count finished units; `detail` is shown beside them."""
        self._done += units
        self._detail = detail
        if units:
            self._note(time.monotonic())
        if self._bar is not None:
            self._bar.set_postfix_str(detail, refresh=False)
            self._bar.update(units)
        else:
            self.tick()

    def _note(self, now: float) -> None:
        """Remember how much was finished by now, once a second at most, and forget what is over a minute ago."""
        with self._lock:
            if len(self._finished) > 1 and now - self._finished[-2][0] < 1.0:
                self._finished.pop()
            self._finished.append((now, self._done))
            while len(self._finished) > 2 and self._finished[1][0] < now - RATE_OF_S:
                self._finished.popleft()

    def tick(self) -> None:
        """Print the line if it is due. Called from the thread that works and from the one that beats."""
        with self._lock:
            is_due = time.monotonic() - self._last_line >= LINE_EVERY_S
            if is_due:
                self._count()
            if self._bar is not None:
                self._bar.refresh()
                self._last_line = time.monotonic() if is_due else self._last_line
            elif is_due:
                self._line()

    def _count(self) -> None:
        """Set the gauges for Prometheus, as often as a line is due: `advance` may be called for every single row."""
        PROGRESS.set(self._done_before + self._done, unit=self._what)
        if self._total is not None:
            EXPECTED.set(self._total, unit=self._what)

    def _line(self) -> None:
        self._last_line = time.monotonic()
        done = self._done_before + self._done
        seconds = self._last_line - self._started
        if self._total is None:
            parts = [f"{done:,} {self._what}", f"{seconds:.0f} s"]
            left = None
        else:
            share = 100 * done / self._total if self._total else 100.0
            parts = [f"{done:,} of {self._total:,} {self._what} ({share:.0f} %)", f"{seconds:.0f} s"]
            left = self._left_s(self._total - done)
            stalled = self._stalled_s()
            if stalled is not None and done < self._total:
                parts.append(f"none finished for {_clock(stalled)}")
            elif left is not None and done < self._total:
                parts.append(f"about {_clock(left)} left")
        if self._detail:
            parts.append(self._detail)
        say(
            ", ".join(parts),
            self._stream,
            unit=self._what,
            done=done,
            total=self._total,
            seconds=round(seconds, 1),
            seconds_left=None if left is None else round(left, 1),
            detail=self._detail or None,
        )

    def _left_s(self, left: int) -> float | None:
        """Seconds that the units left will take at the rate of the last minute; None before there is one."""
        if not self._finished or self._finished[-1][1] == self._finished[0][1]:
            return None
        since, first = self._finished[0]
        return left * (self._last_line - since) / (self._finished[-1][1] - first)

    def _stalled_s(self) -> float | None:
        """Seconds since anything was finished, where that is over a minute."""
        waited = self._last_line - self._finished[-1][0] if self._finished else 0.0
        return waited if waited > RATE_OF_S else None


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
