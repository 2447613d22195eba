"""Deduplication: a document that stands several times in one request is scored once.

Lists that were merged from several searches repeat themselves, and the scores of equal texts have to be equal to the
last bit, so that they tie: in another batch they could differ.

Shape letters: C documents of a request, D different ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from crossrank.serving.request import ScoringRequest, ScoringResponse


async def score_once(
    score: Callable[[ScoringRequest], Awaitable[ScoringResponse]], request: ScoringRequest
) -> ScoringResponse:
    """Score a request so that `score` reads each different pair of a query and a document once.

    Tokens, cuts and chunks are given for each document, so a sum of them counts a repeated document as often as it
    stands in the request. Raises what `score` does.
    """
    has_one_query = len(request.queries) == 1
    pairs = list(request.documents) if has_one_query else list(zip(request.queries, request.documents, strict=True))
    place: dict[object, int] = {}
    place_C = np.array([place.setdefault(pair, len(place)) for pair in pairs], dtype=np.int64)
    # A refusal of a document that may not be cut names its number, which would be another.
    if len(place) == len(pairs) or not (request.cutting.documents or request.cutting.long_document == "chunk_max"):
        return await score(request)
    _, first_D = np.unique(place_C, return_index=True)
    answer = await score(
        replace(
            request,
            queries=request.queries if has_one_query else tuple(request.queries[c] for c in first_D),
            documents=tuple(request.documents[c] for c in first_D),
        )
    )
    return replace(
        answer,
        logits_C=answer.logits_C[place_C],
        tokens_C=answer.tokens_C[place_C],
        cut_C=answer.cut_C[place_C],
        chunks_C=answer.chunks_C[place_C],
        num_characters=request.num_characters,
    )
