"""`Gate`, at which every request of a job waits for its turn, whichever thread and worker sends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from crossrank.translation.rate_control import Pace

LOOK_S = 0.5
"""Seconds after which a wait is computed again: the rate may have changed."""


class Gate:
    """A `Pace` with a clock, for many threads."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._turn = threading.Lock()
        """Held by the request that goes next, so that no other waits by a rate that has changed since."""
        self._lock = threading.Lock()
        self.sent = self.refusals = 0

    def wait(self, num_bytes: int, stopped: threading.Event) -> float | None:
        """Wait for the turn of one request. Returns when it went, None if the job is stopped meanwhile."""
        with self._turn:
            while not stopped.is_set():
                with self._lock:
                    now = self._clock()
                    left = self._pace.wait_s(now)
                    if left <= 0:
                        self._pace.went(now, num_bytes)
                        self.sent += 1
                        return now
                stopped.wait(min(left, LOOK_S))
        return None

    def accepted(self, sent: float) -> None:
        """Note that the request that went at `sent` was not too fast."""
        with self._lock:
            self._pace.accepted(sent, self._clock())

    def refused(self, sent: float) -> None:
        """Note that the request that went at `sent` was too fast."""
        with self._lock:
            self.refusals += 1
            self._pace.refused(sent, self._clock())

    @property
    def rate(self) -> float:
        """Requests that may go in a second, now."""
        return self._pace.rate
