"""The rate of requests to a service that refuses what is too fast: found by probing, one rate for the whole job.

A pure algorithm; it has no clock and no thread. `rate_limiter.py` gives it both.

The rate rises while nothing is refused and falls at a refusal, by little, since little was too much: so it stays just
under the limit, as TCP does (Jacobson 1988), with CUBIC's memory of where the limit was (Ha, Rhee and Xu 2008). What
is refused of requests that were sent before the rate fell is no news.

Units: seconds, requests a second, bytes of UTF-8 a second.
"""

from __future__ import annotations

START = 10.0
"""Requests a second that a job begins with where the service's limit is not known."""
LEAST = 0.2
LAG_S = 0.1
"""Seconds of lateness that may be caught up with at once, so that late threads do not lower the rate."""
DOUBLING_S = 1.0
"""Seconds in which the rate doubles, as long as nothing was ever refused."""
NEAR = 0.95
"""Share of the rate at the last refusal up to which the rate rises fast; from there it rises slowly."""
CLOSING = 0.3
"""Share of the gap up to `NEAR` that is closed in a second."""
SLOW_GROWTH = 0.004
"""Slow growth in a second, as a share of the rate."""
QUIET_S = 10.0
"""Seconds without a refusal after which the slow growth doubles, each time: the limit may have risen."""
MOST_GROWTH = 0.1
BACK_OFF = 0.96
BACK_OFF_AGAIN = 0.85
"""Factor of the rate when a request that was sent after a fall is refused too."""
BACK_OFF_FIRST = 0.7
"""Factor of the rate at the first refusal: while doubling, it may have run far over the limit."""
LIMITING_S = 1.0
"""Seconds: a rate that no request had to wait for in this time limits nothing, and does not rise."""


class Pace:
    """The rate of one job."""

    def __init__(self, most_requests: float | None = None, most_bytes: float | None = None) -> None:
        """Start the pace of a job.

        Args:
            most_requests: known limit in requests a second, which the rate begins with and never passes.
            most_bytes: known limit in bytes of UTF-8 a second, which does not adapt.
        """
        self.rate = START if most_requests is None else most_requests
        self._most = most_requests
        self._most_bytes = most_bytes
        self._next = self._next_bytes = 0.0
        self._begun = False
        self._waited = float("-inf")
        self._limit: float | None = None
        """The rate at the last refusal."""
        self._fell = float("-inf")
        self._rose: float | None = None
        self._falls_in_a_row = 0

    def wait_s(self, now: float) -> float:
        """Seconds until the next request may go; 0 when it may go now."""
        wait = max(self._next, self._next_bytes) - now if self._begun else 0.0
        if wait > 0:
            self._waited = now
        return max(wait, 0.0)

    def went(self, now: float, num_bytes: int) -> None:
        """Note that a request goes now."""
        if not self._begun:  # no request was due before, so none has to catch up
            self._begun, self._next, self._next_bytes = True, now, now
        self._next = max(self._next, now - LAG_S) + 1 / self.rate
        if self._most_bytes is not None:
            self._next_bytes = max(self._next_bytes, now - LAG_S) + num_bytes / self._most_bytes

    def accepted(self, sent: float, now: float) -> None:
        """Raise the rate: a request that went at `sent` was not refused."""
        if sent >= self._fell:
            self._falls_in_a_row = 0
        since = now - (now if self._rose is None else self._rose)
        self._rose = now
        if now - self._waited > LIMITING_S:
            return
        self.rate *= 1 + min(since, LIMITING_S) * self._growth(now)
        if self._most is not None:
            self.rate = min(self.rate, self._most)

    def refused(self, sent: float, now: float) -> None:
        """Lower the rate: a request that went at `sent` was refused as too fast."""
        if sent < self._fell:
            return
        if self._limit is None and self._most is None:
            back_off = BACK_OFF_FIRST
        else:
            back_off = BACK_OFF_AGAIN if self._falls_in_a_row else BACK_OFF
        self._limit = self.rate
        self.rate = max(self.rate * back_off, LEAST)
        self._falls_in_a_row += 1
        self._fell = self._rose = now

    def _growth(self, now: float) -> float:
        """Part of the rate that is added in a second."""
        if self._limit is None:
            return 0.693 / DOUBLING_S
        quiet = min(SLOW_GROWTH * 2 ** ((now - self._fell) / QUIET_S), MOST_GROWTH)
        return max(quiet, CLOSING * (NEAR * self._limit / self.rate - 1))
