"""Rows that could not be used: their number by reason, the first of them in words, and an error where none is left."""

from __future__ import annotations

from collections import Counter

from crossrank.errors import InputError
from crossrank.records import Reject, Rejected
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import say

PRINTED_ROWS = 10
"""Rejected rows that are printed one by one; the rest are only counted."""


def first_rows_printer() -> Reject:
    """A function that prints the first rejected rows, each with its place and reason, and ignores the rest."""
    left = iter(range(PRINTED_ROWS))

    def print_first(row: Rejected) -> None:
        if next(left, None) is not None:
            say(f"{row.source} line {row.line}: {row.reason}, {row.detail}")

    return print_first


def _drop(row: Rejected) -> None:
    """Ignore a rejected row, for callers that only count."""


class SetAside:
    """Counts each rejected row, and hands it on."""

    def __init__(self, reject: Reject = _drop) -> None:
        self.counts: Counter[str] = Counter()
        self._reject = reject
        self._first: Rejected | None = None

    @property
    def total(self) -> int:
        """Rows that were set aside."""
        return self.counts.total()

    def __call__(self, row: Rejected) -> None:
        self.counts[str(row.reason)] += 1
        self._first = self._first or row
        self._reject(row)

    def in_words(self) -> str:
        """Counts by reason, with where the first stood; empty where nothing was set aside."""
        if self._first is None:
            return ""
        first = self._first
        where = " ".join(
            [
                first.source,
                *([f"line {first.line}"] if first.line else []),
                *([first.record_id] if first.record_id else []),
            ]
        )
        return f"{counted(self.counts)}; the first, {where}: {first.detail}"

    def refuse_if_all(self, num_left: int, uri: str, what: str, way_out: str) -> None:
        """End a job whose input has nothing left: a finished job would look like work done.

        Args:
            num_left: rows that can be used.
            what: name of the rows.

        Raises:
            InputError: none is left; the sentence says why, and the way out.
        """
        if not num_left:
            raise self.nothing_usable(uri, what, way_out)

    def nothing_usable(self, uri: str, what: str, way_out: str = "check the file") -> InputError:
        """The sentence about an input that holds nothing usable: the counts, the first problem and where it stands."""
        return InputError(f"{uri} holds no {what} that can be used ({self.in_words() or 'it is empty'}); {way_out}")
