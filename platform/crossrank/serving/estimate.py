"""Estimate of the tokens that a request will make the model read, from its characters, before any is tokenised.

Shape letters: C documents of one request.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrank.serving.encode import Encoder, encode, query_limit
from crossrank.serving.request import ScoringRequest


@dataclass(frozen=True, slots=True)
class RateWindow:
    """Window of a model: how much of a pair it reads."""

    max_length: int
    """Tokens of a pair at most."""
    special_tokens: int
    """Tokens that the model's encoder puts around every pair: special tokens, or the prompt."""
    max_query_tokens: int

    @classmethod
    def of(cls, encoder: Encoder) -> RateWindow:
        """The window of a model."""
        nothing = encode(ScoringRequest(queries=("",), documents=("",)), encoder)
        return cls(encoder.max_length, nothing.num_tokens, query_limit(encoder))


def estimated_tokens_C(request: ScoringRequest, tokens_per_character: float, window: RateWindow) -> NDArray[np.float64]:
    """The tokens of each document with its query, of all its chunks, shape (C,).

    A text that is cut counts as far as it is read. A query over its limit counts as one at its limit: either it is cut
    there, or the request is refused for it as soon as it is counted.
    """
    cutting = request.cutting
    documents_C = np.fromiter(map(len, request.documents), np.float64, len(request.documents)) * tokens_per_character
    queries_C = np.fromiter(map(len, request.queries), np.float64, len(request.queries)) * tokens_per_character
    special = window.special_tokens + len(request.instruction or "") * tokens_per_character
    around_C = special + np.minimum(queries_C, min(window.max_query_tokens, cutting.max_tokens_per_query or np.inf))
    # However the estimate errs, each pair has a document of one token at least.
    room_C = np.maximum(window.max_length - around_C, 1.0)
    around_C = np.minimum(around_C, window.max_length - 1)
    documents_C = np.minimum(documents_C, cutting.max_tokens_per_document or np.inf)
    if cutting.long_document != "chunk_max":
        return around_C + np.minimum(documents_C, room_C)
    chunks_C = np.clip(np.ceil(documents_C / room_C), 1, cutting.max_chunks_per_document)
    return chunks_C * around_C + np.minimum(documents_C, chunks_C * room_C)
