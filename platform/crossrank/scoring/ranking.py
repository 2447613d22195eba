"""Ranking of one query's documents by their scores.

Shape letters: P pairs, C candidates of one query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossrank.scoring.inputs import InputDocument
from crossrank.scoring.interfaces import Scored
from crossrank.scoring.normalize import Normalize, normalize


@dataclass(frozen=True, slots=True)
class RankedDocument:
    """A document with its place in the result of `Reranker.rank`; the first of a list is the best."""

    index: int
    """Position in the documents that were ranked, from 0."""
    score: float
    """Logit, unbounded, or what `normalize` made of it."""
    text: str
    """Text as the model read it: of a dictionary with a title, title and text."""
    id: Any = None
    """Id of a document that was a dictionary with one, as it was given; otherwise None."""
    tokens: int = 0
    """Tokens that the model read: query, document and special tokens together."""
    truncated_tokens: int = 0
    """Tokens of the document that did not fit `max_length` and were not read; 0 where it was read whole.

    Of a model that was trained with ``longest_first``: tokens of query and document.
    """


def ranking(
    documents: Sequence[InputDocument], scored: Scored, start: int, top_n: int | None, how: Normalize
) -> list[RankedDocument]:
    """Rank the documents of one query, whose pairs begin at `start` in `scored`, best first."""
    span = slice(start, start + len(documents))
    logits_C, tokens_C, truncated_C = scored.logits_P[span], scored.tokens_P[span], scored.truncated_P[span]
    scores_C = normalize(logits_C, how)
    return [
        RankedDocument(c, float(scores_C[c]), documents[c].text, documents[c].id, int(tokens_C[c]), int(truncated_C[c]))
        for c in np.argsort(-logits_C, kind="stable")[:top_n].tolist()
    ]
