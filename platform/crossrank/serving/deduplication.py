"""A document that stands several times in one request is scored once.

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
    score: Callable[[ScoringRequest], Awaitable[ScoringResponse]], ask: ScoringRequest
) -> ScoringResponse:
    """The answer to `ask`, for which `score` reads each different pair of a query and a document once.

    Tokens, cuts and chunks are told of each document, so a sum of them counts a repeated one as often as it stands
    there. Raises what `score` does.
    """
    pairs = list(ask.documents) if len(ask.queries) == 1 else list(zip(ask.queries, ask.documents, strict=True))
    place: dict[object, int] = {}
    place_C = np.array([place.setdefault(pair, len(place)) for pair in pairs], dtype=np.int64)
    # A refusal of a document that may not be cut names its number, which would be another.
    if len(place) == len(pairs) or not (ask.cutting.documents or ask.cutting.long_document == "chunk_max"):
        return await score(ask)
    _, first_D = np.unique(place_C, return_index=True)
    answer = await score(
        replace(
            ask,
            queries=ask.queries if len(ask.queries) == 1 else tuple(ask.queries[c] for c in first_D),
            documents=tuple(ask.documents[c] for c in first_D),
        )
    )
    return replace(
        answer,
        logits_C=answer.logits_C[place_C],
        tokens_C=answer.tokens_C[place_C],
        cut_C=answer.cut_C[place_C],
        chunks_C=answer.chunks_C[place_C],
        num_characters=ask.num_characters,
    )
