"""infinity: ``{"query", "documents", "raw_scores"}``; the same answer as Cohere's, with documents as plain texts.

Its client declares a document as a string, and LiteLLM's for vLLM fails on one. Infinity's bodies are recognised by
``raw_scores``, which its client always sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.serving.dialects.cohere import CohereReading, RerankRequest
from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.response_types import Ranking
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.request import ScoringResponse


class InfinityRequest(RerankRequest):
    """One query with its documents."""

    raw_scores: bool | None = None
    """True shows logits, unless `score_type` says otherwise."""

    @property
    def logits(self) -> bool:
        """Whether scores are shown as logits."""
        return bool(self.raw_scores) if self.score_type is None else self.score_type == "logit"


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """A query and its documents.

    Raises:
        Empty: no documents.
        Invalid: a field that is not what it has to be, an empty query, or more documents than the server takes.
    """
    request = parsed(InfinityRequest, body)
    reading = CohereReading(request, limits)

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        return reading.body(answer, served, request.top_n, str if request.return_documents else None)

    return ParsedRequest("infinity", reading.score_request, request.model, render)


def is_infinity(body: Mapping[str, Any]) -> bool:
    """Documents with a `raw_scores` that is not null."""
    return "documents" in body and body.get("raw_scores") is not None


RERANK = Dialect("infinity", is_infinity, InfinityRequest, read, Ranking)
