"""Seconds of each stage of a job."""

from __future__ import annotations

import time

from crossrank.telemetry.job_metrics import STAGE_SECONDS


class Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, name: str) -> None:
        """The stage that now ends."""
        now = time.monotonic()
        self.laps[name] = round(now - self._since, 3)
        STAGE_SECONDS.add(now - self._since, stage=name)
        self._since = now

    def skip(self) -> None:
        """The stage that now ends was measured by whoever did it."""
        self._since = time.monotonic()
