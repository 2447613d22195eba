"""`crossrank translate` as a process of its own, to be killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from tests.data.amazon_server import Asked
from tests.ray.driver import Driver, wait_for

STARTS_S = 600.0
"""What a driver may take until something is seen of it, on a busy machine."""


def flags_of(settings: dict[str, Any]) -> list[str]:
    """Settings as flags."""
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]


class Killable:
    """A job that is started again and again until it ends by itself."""

    def __init__(self, settings: dict[str, Any], asked: Asked, folder: Path, drivers: list[Driver]) -> None:
        self.output = Path(settings["output"])
        self._settings = settings
        self._asked = asked
        self._folder = folder
        self._drivers = drivers

    def start(self, **more: Any) -> Driver:
        command = [sys.executable, "-m", "crossrank", "translate", *flags_of(self._settings | more)]
        log = self._folder / f"driver-{len(self._drivers)}.log"
        env = os.environ | {"AWS_ENDPOINT_URL_TRANSLATE": self._asked.endpoint}
        self._drivers.append(Driver(command, log, env))
        return self._drivers[-1]

    def parts(self) -> int:
        return len(list(self.output.glob("part-*.parquet")))

    def paid(self) -> int:
        """Requests that were translated."""
        return self._asked.translated().total()

    def wait_for_paid(self, driver: Driver, least: int) -> None:
        wait_for(lambda: self.paid() >= least or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said
