"""Rows that could not be used: how many for each reason, and the first of them in words."""

from __future__ import annotations

from collections import Counter

from crossrank.records import Reject, Rejected


class SetAside:
    """Hands each row on, and counts it."""

    def __init__(self, reject: Reject) -> None:
        self.counts: Counter[str] = Counter()
        self._reject = reject
        self._first: Rejected | None = None

    def __call__(self, row: Rejected) -> None:
        self.counts[str(row.reason)] += 1
        self._first = self._first or row
        self._reject(row)

    def in_words(self) -> str:
        """Counts by reason, with where the first stood; empty where nothing was set aside."""
        if self._first is None:
            return ""
        told = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.counts.items()))
        first = self._first
        where = " ".join(
            [
                first.source,
                *([f"line {first.line}"] if first.line else []),
                *([first.record_id] if first.record_id else []),
            ]
        )
        return f"{told}; the first, {where}: {first.detail}"
