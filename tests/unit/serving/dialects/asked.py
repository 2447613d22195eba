"""Answers made by hand, and a request from its body to the body of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from crossrank.serving.dialects import Limits, ParsedRequest, Served, read
from crossrank.serving.errors import RequestError
from crossrank.serving.request import ScoringRequest, ScoringResponse, Timing

SERVED = Served(model="m", revision="abc", request_id="rr-1", created=1700000000)
LOW, HALF, HIGH = -800.0, 0.0, 800.0
"""Logits whose probabilities are 0, 0.5 and 1, exactly."""


def answer(*logits: float, tokens: int = 5, cut: Sequence[int] = (), query_cut: int = 0) -> ScoringResponse:
    """Each document took `tokens` tokens, and lost those of `cut`."""
    num = len(logits)
    return ScoringResponse(
        logits_C=np.array(logits, dtype=np.float32),
        tokens_C=np.full(num, tokens, dtype=np.int32),
        cut_C=np.array(list(cut) or [0] * num, dtype=np.int32),
        chunks_C=np.ones(num, dtype=np.int32),
        query_cut=query_cut,
        num_characters=0,
        timing=Timing(0.001, 0.002, 0.0035, 0.0065),
    )


def wanted(path: str, body: Any, **limits: Any) -> ParsedRequest:
    """What is read without any header."""
    return read(path, body, {}, Limits(**limits))


def asked(path: str, body: Any, **limits: Any) -> ScoringRequest:
    """The ask of a body."""
    return wanted(path, body, **limits).score_request


def shown(path: str, body: Any, given: ScoringResponse) -> Any:
    """The body of the 200."""
    return wanted(path, body).render(given, SERVED)


def refused(path: str, body: Any, **limits: Any) -> RequestError:
    """The fault of a body that has one."""
    with pytest.raises(RequestError) as caught:
        wanted(path, body, **limits)
    return caught.value
