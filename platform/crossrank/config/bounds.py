"""Bounds of numbers: what a setting may be, in words for ``--help``, and the way out of one that lies outside."""

from __future__ import annotations

import math
from dataclasses import dataclass

WHOLE_MOST = 2**31 - 1
"""The largest whole number of a setting: what takes it in the end, Arrow or a C library, often counts in 32 bits."""
SEED_MOST = 2**63 - 1
"""The largest seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The numbers that a setting takes. None is without a bound; a number that is not finite is never taken."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    refusal: str | None = None
    """End of the error sentence, after the value; None names the bound."""

    @property
    def largest(self) -> int:
        """The largest absolute value of a whole number, whether or not a smaller one is declared."""
        return max(WHOLE_MOST, int(self.most or 0))

    @property
    def in_words(self) -> str | None:
        """The bounds in words, such as ``at least 1`` or ``from 0 to below 1``; None where any number is taken."""
        if self.least is None and self.above is None:
            return None if self.most in (None, SEED_MOST) else f"at most {self.most:,}"
        has_most = self.most not in (None, SEED_MOST)
        if self.above is not None:
            if self.below is not None:
                return f"between {self.above:,} and {self.below:,}"
            return f"above {self.above:,}" + (f", up to {self.most:,}" if has_most else "")
        if self.below is not None:
            return f"from {self.least:,} to below {self.below:,}"
        return f"from {self.least:,} to {self.most:,}" if has_most else f"at least {self.least:,}"

    def way_out(self, value: float) -> str | None:
        """The end of a sentence that refuses a number; None where it is taken."""
        words = self._instead_of(value)
        if words is None:
            return None
        return self.refusal or f"; use {words}"

    def _instead_of(self, value: float) -> str | None:
        # Written so that NaN, of which no comparison is true, is refused by the first bound.
        if self.above is not None and not self.above < value < math.inf:
            return f"a number above {self.above:,}"
        if self.least is not None and not self.least <= value < math.inf:
            return f"at least {self.least:,}"
        if self.below is not None and not value < self.below:
            return f"a number below {self.below:,}"
        if self.most is not None and self.most < self.largest and not value <= self.most:
            return f"at most {self.most:,}"
        if isinstance(value, int) and abs(value) > self.largest:
            return f"a number up to {self.largest}"
        return None if math.isfinite(value) else "a finite number"
