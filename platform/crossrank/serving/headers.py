"""The headers of answers and refusals, in every dialect: what a body of a dialect has no place for."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np

from crossrank.serving.errors import NotReady, Overloaded, RequestError, Unauthorized
from crossrank.serving.request import ScoringResponse

MOST_NAMED = 100
"""Cut documents that a header names; a proxy refuses headers of more than a few kilobytes."""
OF_TRUNCATION = {
    "x-truncated-documents": "Documents of which not all was read",
    "x-truncated": "Which they are, and the tokens that were not read: index:tokens,... of the first 100, then ...",
    "x-truncated-query": "Tokens that were cut off the query; off all queries, where there are several",
}
"""Headers about what was cut, with their description for OpenAPI; the second is sent where a document was cut."""


def answer_headers(answer: ScoringResponse, device: str, revision: str) -> dict[str, str]:
    """Headers of an answer: those of text-embeddings-inference, what was cut, and which model it was."""
    timing = answer.timing
    return {
        "x-compute-type": device,
        "x-compute-time": _ms(timing.total_s),
        "x-compute-characters": str(answer.num_characters),
        "x-compute-tokens": str(answer.num_tokens),
        "x-total-time": _ms(timing.total_s),
        "x-tokenization-time": _ms(timing.tokenization_s),
        "x-queue-time": _ms(timing.queue_s),
        "x-inference-time": _ms(timing.inference_s),
        "x-model-revision": revision,
        **_of_truncation(answer),
    }


def fault_headers(fault: RequestError) -> dict[str, str]:
    """Headers of a refusal: when to come back, or which credentials to bring."""
    if isinstance(fault, Overloaded):
        return {
            "retry-after": str(math.ceil(fault.retry_after_s)),
            "retry-after-ms": str(math.ceil(fault.retry_after_s * 1000)),
        }
    if isinstance(fault, NotReady):
        return {"retry-after": "1"}
    if isinstance(fault, Unauthorized):
        return {"www-authenticate": "Bearer"}
    return {}


def _of_truncation(answer: ScoringResponse) -> dict[str, str]:
    headers = {"x-truncated-documents": str(answer.num_cut), "x-truncated-query": str(answer.query_cut)}
    if answer.num_cut:
        named = [f"{c}:{answer.cut_C[c]}" for c in islice(np.flatnonzero(answer.cut_C > 0), MOST_NAMED)]
        headers["x-truncated"] = ",".join(named + ["..."] * (answer.num_cut > MOST_NAMED))
    return headers


def _ms(seconds: float) -> str:
    return str(round(seconds * 1000))
