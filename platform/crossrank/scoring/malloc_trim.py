"""Trimming of the heap: freed memory that the C library keeps is given back to the system now and then.

Batches of ever changing shapes leave holes in glibc's heap: it frees 90 % of it and returns none, so a server that
scored for twenty minutes held 300 MiB more than it used. A fixed threshold for mmap keeps it flat too, and costs 15 %
of the speed. See malloc_trim(3).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

TRIM_S = 10.0
"""Seconds between two trims. One takes 10 ms, and the pages that are used again are faulted in again."""


def malloc_trim() -> Callable[[int], int] | None:
    """glibc's function of this name; None where the C library is another one (musl, macOS, Windows)."""
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    return trim


class Heap:
    """Heap of this process, trimmed at most every `TRIM_S` seconds by calls of `tidy` between batches."""

    def __init__(self, trim: Callable[[int], int] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._trim = trim or malloc_trim()
        self._clock = clock
        self._last = clock()

    def tidy(self) -> None:
        """Give freed memory back, unless that was done within the last `TRIM_S` seconds."""
        now = self._clock()
        if self._trim is None or now - self._last < TRIM_S:
            return
        self._last = now
        self._trim(0)
