"""Rows that could not be used: how many for each reason, the first of them in words, and the end where none is left."""

from __future__ import annotations

from collections import Counter

from crossrank.errors import InputError
from crossrank.records import Reject, Rejected
from crossrank.telemetry.figures import counted
from crossrank.telemetry.progress import say

TOLD = 10
"""Rows that are told one by one; the rest is counted."""


def telling() -> Reject:
    """Says the first rows, each with its place and reason."""
    left = iter(range(TOLD))

    def tell(row: Rejected) -> None:
        if next(left, None) is not None:
            say(f"{row.source} line {row.line}: {row.reason}, {row.detail}")

    return tell


def _drop(row: Rejected) -> None:
    """For those who only count."""


class SetAside:
    """Hands each row on, and counts it."""

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
        """End a job of whose input nothing is left: to finish it would look like work done.

        Args:
            num_left: rows that can be used.
            what: they are called.

        Raises:
            InputError: none is left; the sentence says why, and the way out.
        """
        if not num_left:
            raise self.nothing_usable(uri, what, way_out)

    def nothing_usable(self, uri: str, what: str, way_out: str = "check the file") -> InputError:
        """The sentence about an input that holds nothing usable: the counts, the first problem and where it stands."""
        return InputError(f"{uri} holds no {what} that can be used ({self.in_words() or 'it is empty'}); {way_out}")
