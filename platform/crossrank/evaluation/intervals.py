"""Intervals of means over queries: percentile bootstrap over the queries.

Shape letters: Q queries, R resamples of a chunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Share of the resamples that lie in an interval."""
CHUNK_DRAWS = 1 << 20
"""Draws of queries at a time, 8 MB of rows: 2,000 resamples of 10,000 queries would be 160 MB in one go."""
Values: TypeAlias = Sequence[float] | NDArray[np.floating]
"""A measure of each query, in the order of the queries."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over queries."""

    value: float
    interval: tuple[float, float] | None
    """Bounds between which 95 % of the resamples lie; None for fewer than 2 queries."""


def mean_of(values_Q: Values, seed: int = 0, resamples: int = 2000) -> Mean:
    """The mean with its interval. Refuses no queries, and values that are not finite."""
    values_Q = checked(values_Q)
    if not len(values_Q):
        raise ValueError("there are no queries to take the mean of; give at least 1")
    return Mean(float(values_Q.mean()), bootstrap_interval(values_Q, seed, resamples))


def bootstrap_interval(values_Q: Values, seed: int = 0, resamples: int = 2000) -> tuple[float, float] | None:
    """The 95 % interval of the mean: queries are drawn with replacement, `resamples` times.

    The same values, seed and resamples give the same interval.

    Returns:
        None for fewer than 2 queries, which say nothing of how queries differ.
    """
    values_Q = checked(values_Q)
    num_queries = len(values_Q)
    if num_queries < 2:
        return None
    draw = np.random.default_rng(seed)
    chunk = max(CHUNK_DRAWS // num_queries, 1)
    means = np.empty(resamples)
    for start in range(0, resamples, chunk):
        rows_RQ = draw.integers(num_queries, size=(min(chunk, resamples - start), num_queries))
        means[start : start + chunk] = values_Q[rows_RQ].mean(axis=1)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def paired_difference(a_Q: Values, b_Q: Values, seed: int = 0, resamples: int = 2000) -> Mean | None:
    """The mean of ``a - b`` with its interval, each query against itself.

    What makes a query hard for both drops out, so this is far narrower than the two intervals laid side by side.

    Args:
        a_Q, b_Q: a measure of the same queries, in the same order.

    Returns:
        None for fewer than 2 queries.
    """
    a_Q, b_Q = checked(a_Q), checked(b_Q)
    if len(a_Q) != len(b_Q):
        raise ValueError(f"a has {len(a_Q)} queries and b {len(b_Q)}; give the same queries to both")
    return mean_of(a_Q - b_Q, seed, resamples) if len(a_Q) >= 2 else None


def checked(values_Q: Values) -> NDArray[np.float64]:
    """A measure of each query as an array. Refuses another shape, and values that are not finite."""
    checked_Q: NDArray[np.float64] = np.asarray(values_Q, dtype=np.float64)
    if checked_Q.ndim != 1:
        raise ValueError(f"the values have the shape {checked_Q.shape}; give one number a query")
    if not np.isfinite(checked_Q).all():
        raise ValueError("a query has a value that is not finite; a query without a measure counts as 0")
    return checked_Q
