"""`Gate`: where every request of a job waits for its turn, whichever thread and worker it is of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from crossrank.translation.rate_control import Pace

LOOK_S = 0.5
"""A wait is looked at again after so long: the rate may have changed."""


class Gate:
    """A `Pace` with a clock, for many threads."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._turn = threading.Lock()
        """Held by the one that goes next, so that nobody waits on a promise of the rate that was."""
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
        """The request that went then was not too fast."""
        with self._lock:
            self._pace.accepted(sent, self._clock())

    def refused(self, sent: float) -> None:
        """The request that went then was too fast."""
        with self._lock:
            self.refusals += 1
            self._pace.refused(sent, self._clock())

    @property
    def rate(self) -> float:
        """Requests a second that may go now."""
        return self._pace.rate
