"""Reading and writing again after a pause: a store that stutters must not end a job of hours."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from crossrank.errors import JobFailed, OutputError, StorageError
from crossrank.telemetry.job_metrics import STORAGE_RETRIES

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

PAUSES_S = (1.0, 5.0, 20.0)


def with_retries(act: Callable[[], Result]) -> Result:
    """Read or write, and again after each of `PAUSES_S`.

    Raises:
        JobFailed: it failed every time. What could be reached when a job began is no mistake of the user's now.
    """
    for pause_s in PAUSES_S:
        try:
            return act()
        except (StorageError, OutputError) as error:
            logger.warning("%s; again in %s s", error, pause_s)
            STORAGE_RETRIES.add()
            time.sleep(pause_s)
    try:
        return act()
    except (StorageError, OutputError) as error:
        raise JobFailed(f"{error}; finished blocks are kept: run the same command again") from error
