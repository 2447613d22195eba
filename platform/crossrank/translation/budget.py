"""The spending of a job: counted before a request goes, durable, so that no kill makes a budget larger.

The file is not written for every request. It says an upper bound, a little ahead of what is spent; after a kill the
bound is taken for the truth. So a kill may count at most a two hundredth of the budget that was not spent, and never
forgets any.
"""

from __future__ import annotations

import threading

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.resumable.output import read_json, write_json

AHEAD_SHARE = 1 / 200
AHEAD_CHARACTERS = 20_000
"""Characters by which the file is ahead of what is spent: the smaller of these and `AHEAD_SHARE` of the budget."""
MILLION = 1_000_000


class BudgetSpent(Exception):
    """The next request would exceed the budget. Never leaves `crossrank.translation`."""


class Spending:
    """Characters that were paid for, and those that may still be."""

    def __init__(self, uri: str, usd_per_million: float, budget_usd: float | None, afresh: bool = False) -> None:
        """Read what was spent from `uri`, unless a job starts afresh."""
        self._uri = uri
        self._price = usd_per_million
        self._most = None if budget_usd is None else int(budget_usd * MILLION / usd_per_million + 1e-9)
        """Characters that the budget pays for."""
        self._ahead = AHEAD_CHARACTERS if self._most is None else min(AHEAD_CHARACTERS, int(self._most * AHEAD_SHARE))
        before = read_json(uri) if not afresh and storage.exists(uri) else {"characters": 0}
        self._spent = self._written = int(before["characters"])
        self._before = self._spent
        self._lock = threading.Lock()

    @property
    def characters(self) -> int:
        """Spent, by earlier runs of this output too; what is under way is counted as spent."""
        return self._spent

    @property
    def usd(self) -> float:
        """US dollars spent for these characters."""
        return cost_usd(self._spent, self._price)

    def pay(self, characters: int) -> None:
        """Count a request that is to go.

        Raises:
            BudgetSpent: the request would exceed the budget.
        """
        with self._lock:
            spent = self._spent + characters
            if self._most is not None and spent > self._most:
                raise BudgetSpent
            if spent > self._written:
                ahead = spent + self._ahead
                self._write(ahead if self._most is None else min(ahead, self._most))
            self._spent = spent

    def take_back(self, characters: int) -> None:
        """Take back the characters of a request that was refused, so not charged."""
        with self._lock:
            self._spent -= characters

    def close(self) -> None:
        """Write what was spent, exactly."""
        with self._lock:
            if self._spent != self._written:
                self._write(self._spent)

    def _write(self, characters: int) -> None:
        write_json(self._uri, {"characters": characters, "usd": cost_usd(characters, self._price)})
        self._written = characters


def cost_usd(characters: int, usd_per_million: float) -> float:
    """The price of so many characters, in US dollars."""
    return round(characters * usd_per_million / MILLION, 6)


def budget_is_spent(budget_usd: float, spent_usd: float, left: int) -> JobFailed:
    """The failure of a job that stopped before its budget was exceeded."""
    return JobFailed(
        f"--budget-usd {budget_usd:g} is spent: {spent_usd:.4f} USD are paid, and the next request would exceed it; "
        f"{left:,} texts are left, so raise the budget and run the same command again"
    )
