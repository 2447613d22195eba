"""Scores and rankings of an answer, as a dialect shows them.

Shape letters: C documents of a request.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossrank.serving.request import ScoringResponse


def scores_of(answer: ScoringResponse, logits: bool) -> NDArray[np.float64]:
    """Logits, or probabilities, in the order of the documents."""
    if logits:
        return answer.logits_C.astype(np.float64)
    with np.errstate(over="ignore"):
        return answer.probabilities_C()


def ranked(
    answer: ScoringResponse, logits: bool, top_n: int | None = None, min_score: float | None = None
) -> list[tuple[int, float]]:
    """Index and score, best first: by logit, ties by ascending index.

    Probabilities far from 0 round to the same number, so they never decide the order.

    Args:
        top_n: the first so many; None or 0 keeps all.
        min_score: drop what scores below it, on the scale that is shown.
    """
    scores_C = scores_of(answer, logits)
    order = answer.order()
    if min_score is not None:
        order = order[scores_C[order] >= min_score]
    order = order[: top_n or None]
    return list(zip(order.tolist(), scores_C[order].tolist(), strict=True))


def usage(answer: ScoringResponse) -> dict[str, int]:
    """Tokens that the model read, as OpenAI's clients count them."""
    return {"prompt_tokens": answer.num_tokens, "total_tokens": answer.num_tokens}
