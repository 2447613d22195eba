"""Seconds of each stage of a job."""

from __future__ import annotations

import time

from crossrank.telemetry.job_metrics import STAGE_SECONDS


class Clock:
    """Measures how long each stage takes; `laps` has the seconds by name."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """Record the seconds since the last call as those of the stage `name`."""
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 3)
        STAGE_SECONDS.add(now - self._since, stage=name)
        self._since = now

    def skip(self) -> None:
        """Begin the next stage without recording this one, which was measured elsewhere."""
        self._since = time.monotonic()
