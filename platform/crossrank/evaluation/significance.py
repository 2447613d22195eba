"""Significance of a difference between two rankings: the paired randomisation test.

Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval evaluation",
CIKM 2007: if both were equally good, each query's two values could be exchanged, so the sign of each difference is a
coin. The p-value is the share of all ways to toss the coins that give a mean at least as far from 0.

Shape letters: Q queries, B eighths of them, R tosses of a chunk.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossrank.evaluation.intervals import Values, checked

RESAMPLES = 10_000
"""Tosses that are drawn, by default."""
COINS = 8
"""Queries whose coins share a byte: the sums of all 256 ways to toss them are worked out once."""
CHUNK_BYTES = 1 << 20
"""Bytes that are drawn at a time: 8 MB as sums."""
EXACT_QUERIES = 13
"""Queries up to which all ways to toss, 2^13 at most, are tried; with more queries, tosses are drawn."""


def randomisation_test(a_Q: Values, b_Q: Values, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """The two-sided p-value of the mean of ``a - b``: small where equally good rankings would hardly differ so much.

    The observed toss counts as one of them, so it is never 0 (Phipson and Smyth 2010). Queries with equal values change
    nothing. The same values, seed and resamples give the same p-value.

    Args:
        a_Q, b_Q: a measure of the same queries, in the same order.
    """
    a_Q, b_Q = checked(a_Q), checked(b_Q)
    if len(a_Q) != len(b_Q):
        raise ValueError(f"a has {len(a_Q)} queries and b {len(b_Q)}; give the same queries to both")
    differences_Q = a_Q - b_Q
    differences_Q = differences_Q[differences_Q != 0]
    if not len(differences_Q):
        return 1.0
    # A toss that gives the same sum in another order of adding is as far from 0, not nearer by a rounding.
    observed = abs(differences_Q.sum()) * (1 - 1e-9)
    if len(differences_Q) <= EXACT_QUERIES:
        return float((np.abs(_all_signs(len(differences_Q)) @ differences_Q) >= observed).mean())
    sums_B256 = _sums_of_bytes(differences_Q)
    draw = np.random.default_rng(seed)
    chunk = max(CHUNK_BYTES // len(sums_B256), 1)
    extreme = 0
    for start in range(0, resamples, chunk):
        coins_RB = draw.integers(256, size=(min(chunk, resamples - start), len(sums_B256)), dtype=np.uint8)
        sums_R = sums_B256[np.arange(len(sums_B256)), coins_RB].sum(axis=1)
        extreme += int((np.abs(sums_R) >= observed).sum())
    return (extreme + 1) / (resamples + 1)


def holm(p_values: list[float]) -> list[float]:
    """Correct p-values for looking at several together (Holm 1979); returned in the order given.

    Of ten models that are no better one has p < 0.1 by chance; after this, one of ten such tables has.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return [float(value) for value in adjusted]


def _sums_of_bytes(differences_Q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of every eight differences, for each way to toss their coins. Shape (B, 256)."""
    padded_Q = np.pad(differences_Q, (0, -len(differences_Q) % COINS))
    return padded_Q.reshape(-1, COINS) @ _all_signs(COINS).T


def _all_signs(columns: int) -> NDArray[np.float64]:
    numbers = np.arange(2**columns)[:, None]
    return ((numbers >> np.arange(columns)) & 1).astype(np.float64) * 2 - 1
