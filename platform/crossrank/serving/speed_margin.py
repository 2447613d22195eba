"""How much of the measured speed promises are made with: less after one was broken, more again while all are kept.

A speed is a mean of the last seconds, and those to come are others: a neighbour takes the cores, or another replica
wakes up. How far they differ is not known beforehand, so it is learned from the promises themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOST = 0.9
"""No batch is like the last one."""
LEAST = 0.6
"""Of a deadline of seconds that still keeps a queue which never runs dry."""
FALL = 0.95
FALLS_EVERY_S = 1.0
"""Requests that expire together broke one promise: that of the speed."""
RISE_PER_S = 0.002


class Trust:
    """Of one queue. Any thread may ask; one tells."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._low = MOST
        self._fell: float | None = None

    @property
    def share(self) -> float:
        """Part of the measured speed that may be relied on."""
        if self._fell is None:
            return MOST
        return min(MOST, self._low + RISE_PER_S * (self._clock() - self._fell))

    def broken(self) -> None:
        """Somebody who was let in waited past the deadline."""
        now = self._clock()
        if self._fell is None or now - self._fell >= FALLS_EVERY_S:
            self._low, self._fell = max(self.share * FALL, LEAST), now
