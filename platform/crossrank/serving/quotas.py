"""Quota of each API key, on average in tokens a second, so that no client takes the server from all others.

A bucket of tokens for each key (the leaky bucket of ITU-T I.371, as a meter): it fills at the rate, up to some seconds
of it, and a request is let in while there is anything in it. It pays with all its tokens, so a large one leaves a debt,
and is not refused for ever for being larger than the bucket.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from crossrank.serving.errors import Overloaded

BURST_S = 10.0
"""Seconds of its rate that a key may save up."""


class Quotas:
    """The buckets of one replica."""

    def __init__(self, tokens_per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Full buckets.

        Args:
            tokens_per_second: rate of each key, on all replicas together.
        """
        self._rate = tokens_per_second
        self._clock = clock
        self._levels: dict[int, tuple[float, float]] = {}  # by key: tokens, and when

    def pay(self, key: int, tokens: int, num_replicas: int = 1) -> None:
        """Take the tokens of a request out of the bucket of its key.

        Args:
            num_replicas: number of replicas over which a key's requests are spread evenly.

        Raises:
            Overloaded: the bucket is empty.
        """
        rate = self._rate / num_replicas
        level, _ = self._level(key, rate)
        if level <= 0:
            retry_s = (1 - level) / rate
            raise Overloaded(
                f"this API key has used up its {self._rate:,.0f} tokens a second; "
                f"send the request again in {retry_s:,.1f} s",
                retry_s,
                "key",
            )
        self.settle(key, tokens, num_replicas)

    def settle(self, key: int, tokens: int, num_replicas: int = 1) -> None:
        """Take what a request cost more than it paid; a negative number gives back."""
        level, now = self._level(key, self._rate / num_replicas)
        self._levels[key] = (level - tokens, now)

    def _level(self, key: int, rate: float) -> tuple[float, float]:
        now = self._clock()
        full = BURST_S * rate
        level, then = self._levels.get(key, (full, now))
        return min(full, level + rate * (now - then)), now
