"""The lines of a TREC run: every run that crossrank writes goes through this module.

Readers of runs sort by score and break ties by document id, whatever the rank column says, and trec_eval holds a score
in 32 bits. So the scores of a query fall strictly as 32-bit floats: whoever sorts by them has our order.

Shape letter: D documents of one query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.formats.words import word_of

OUR_TAG = "crossrank"

_FLOAT32 = np.finfo(np.float32)
_SUBNORMAL = int(np.float32(_FLOAT32.smallest_normal).view(np.int32)) - 1
"""Number of floats between 0 and the smallest normal one. They count as 0: many processes flush them."""
_LIMIT = int(np.float32(_FLOAT32.max).view(np.int32)) - _SUBNORMAL


def run_lines(
    query_id: str,
    doc_ids: Sequence[str],
    scores: Sequence[float | None],
    ranks: Sequence[int] | None = None,
    tags: Sequence[str] | None = None,
) -> list[str]:
    """A line for each document of a ranking: ``qid Q0 docid rank score tag``.

    Args:
        doc_ids: best first.
        scores: finite scores; None stands for minus the place. Scores that fall stand as they are; any other is put one
            step below the one before it.
        ranks: ranks for the fourth column, which no reader sorts by; by default the places from 1.
        tags: tags for the last column; by default ``crossrank``.
    """
    query = word_of(query_id)
    ranks = range(1, len(doc_ids) + 1) if ranks is None else ranks
    tags = [OUR_TAG] * len(doc_ids) if tags is None else tags
    numbers = [-float(place) if score is None else score for place, score in enumerate(scores, start=1)]
    columns = zip(doc_ids, ranks, falling(numbers), tags, strict=True)
    return [f"{query} Q0 {word_of(doc_id)} {rank} {score} {word_of(tag)}" for doc_id, rank, score, tag in columns]


def falling(scores: Sequence[float]) -> list[str]:
    """Scores of a ranking as text that falls strictly, read as floats of 32 bits or of 64."""
    given_D = np.asarray(scores, dtype=np.float64)
    steps_D = _steps(given_D)
    places_D = np.arange(len(steps_D))
    fallen_D = np.minimum.accumulate(steps_D + places_D) - places_D
    fallen_D = np.maximum(fallen_D, places_D[::-1] - _LIMIT)  # below the lowest float there is no room for the last
    made_D = _floats(fallen_D)
    is_as_given_D = (fallen_D == steps_D) & (np.abs(given_D) <= _FLOAT32.max)
    return [
        _text(given) if is_as_given else str(made)
        for given, made, is_as_given in zip(given_D.tolist(), made_D, is_as_given_D.tolist(), strict=True)
    ]


def _steps(scores_D: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of normal floats of 32 bits that lie between 0 and a score, below 0 for negative ones."""
    clipped_D = np.clip(scores_D, -_FLOAT32.max, _FLOAT32.max).astype(np.float32)
    sizes_D = np.abs(clipped_D).view(np.int32).astype(np.int64) - _SUBNORMAL
    signs_D = np.sign(clipped_D).astype(np.int64)
    return signs_D * np.maximum(sizes_D, 0)


def _floats(steps_D: NDArray[np.int64]) -> NDArray[np.float32]:
    """The inverse of `_steps`."""
    sizes_D = np.where(steps_D == 0, 0, np.abs(steps_D) + _SUBNORMAL).astype(np.int32).view(np.float32)
    return np.where(steps_D < 0, -sizes_D, sizes_D)


def _text(score: float) -> str:
    """The digits that a number needs: fewer for one that was a float of 32 bits, or was read from its digits."""
    short = np.float32(score)
    return str(short) if score in (float(short), float(str(short))) else repr(score)
