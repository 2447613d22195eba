"""Margin of the measured speed that promises leave: more after one was broken, less again while all are kept.

A speed is a mean of the last seconds, and those to come are others: a neighbour takes the cores, or another replica
wakes up. How far they differ is not known beforehand, so it is learned from the promises themselves.
"""

from __future__ import annotations

import time
from collections.abc import Callable

MOST = 0.9
"""Largest share: no batch is like the last one."""
LEAST = 0.6
"""Smallest share: with deadlines of seconds it still keeps a queue that never runs dry."""
FALL = 0.95
"""Factor of the share after a broken promise."""
FALLS_EVERY_S = 1.0
"""Seconds between two falls: requests that expire together broke one promise, that of the speed."""
RISE_PER_S = 0.002
"""Rise of the share in each second without a broken promise."""


class SpeedMargin:
    """Share of the measured speed that one queue relies on. Any thread may read it; one thread reports."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._low = MOST
        self._fell: float | None = None

    @property
    def share(self) -> float:
        """Share of the measured speed that may be relied on, from `LEAST` to `MOST`."""
        if self._fell is None:
            return MOST
        return min(MOST, self._low + RISE_PER_S * (self._clock() - self._fell))

    def broken(self) -> None:
        """Lower the share: a request that was let in waited past its deadline."""
        now = self._clock()
        if self._fell is None or now - self._fell >= FALLS_EVERY_S:
            self._low, self._fell = max(self.share * FALL, LEAST), now
