"""Normalisation of logits to the scores that a caller asked for."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import SettingsError

Normalize = Literal["none", "sigmoid", "softmax"]


def check(how: str) -> None:
    """Refuse an unknown name, before hours of scoring rather than after."""
    if how not in get_args(Normalize):
        raise SettingsError(f"normalize is {how!r}; use none, sigmoid or softmax")


def normalize(logits_C: NDArray[np.floating], how: Normalize) -> NDArray[np.float32]:
    """Scores of one query's candidates from their logits.

    ``none`` keeps the unbounded logits. ``sigmoid`` maps each to 0..1 on its own. ``softmax`` makes the list sum
    to 1: the ko-reranker recipe's ``exp_normalize``, computed against the largest logit so that nothing overflows.

    Order by the logits, never by these: in float32 a sigmoid is exactly 1 from about 17 upwards.

    Args:
        logits_C: logits of one query's candidates, shape (C,). One that is not finite comes back as NaN, and with
            ``softmax`` the whole list, which has no sum.
    """
    check(how)
    logits = np.asarray(logits_C, dtype=np.float64)
    logits = np.where(np.isfinite(logits), logits, np.nan)
    if how == "none" or logits.size == 0:
        return logits.astype(np.float32)
    if how == "sigmoid":
        # exp of a negative number on both branches: no overflow at either end.
        small = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    exponentials = np.exp(logits - logits.max())
    return (exponentials / exponentials.sum()).astype(np.float32)


def normalize_runs(logits_P: NDArray[np.float32], queries: Sequence[str], how: Normalize) -> NDArray[np.float32]:
    """Scores of pairs in which each run of consecutive equal queries is one query's candidates, shape (P,)."""
    starts = [p for p, query in enumerate(queries) if p == 0 or query != queries[p - 1]]
    runs = [normalize(run, how) for run in np.split(logits_P, starts[1:])]
    return np.concatenate(runs) if len(logits_P) else logits_P
