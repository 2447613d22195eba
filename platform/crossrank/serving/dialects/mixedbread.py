"""mixedbread: ``{"query", "input", "top_k", "return_input"}`` to ``data``, best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.documents import Documents, listed, texts_of
from crossrank.serving.dialects.fields import (
    Count,
    Options,
    ScoreType,
    Text,
    Texts,
    Threshold,
    check_count,
    check_query,
)
from crossrank.serving.dialects.ranking import ranked, usage
from crossrank.serving.dialects.response_types import MixedbreadRanking
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.request import ScoringResponse


class MixedbreadRequest(Options):
    """One query with its inputs."""

    query: Text
    input: Documents
    top_k: Count | None = None
    return_input: bool | None = None
    rank_fields: Texts | None = None
    """Fields of object inputs that are read instead of title and text."""
    score_type: ScoreType | None = None
    min_score: Threshold | None = None


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """A query and its inputs.

    Raises:
        Empty: no inputs.
        Invalid: a field that is not what it has to be, an empty query, or more inputs than the server takes.
    """
    request = parsed(MixedbreadRequest, body)
    inputs = listed(request.input)
    check_query("query", request.query)
    check_count("input", len(inputs), limits.max_documents)
    texts = texts_of("input", inputs, request.rank_fields)

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        best = ranked(answer, request.score_type == "logit", request.top_k, request.min_score)
        data = [{"index": c, "score": score, "object": "rank_result"} for c, score in best]
        if request.return_input:
            data = [result | {"input": texts[c]} for result, (c, _) in zip(data, best, strict=True)]
        return {
            "id": served.request_id,
            "object": "list",
            "model": served.model,
            "data": data,
            "usage": usage(answer),
            "top_k": len(data),
            "return_input": bool(request.return_input),
        }

    return ParsedRequest("mixedbread", request.score_request([request.query], texts, True, None), request.model, render)


def is_mixedbread(body: Mapping[str, Any]) -> bool:
    """A query with `input`, and no `documents`."""
    return "input" in body and "query" in body and "documents" not in body


RERANK = Dialect("mixedbread", is_mixedbread, MixedbreadRequest, read, MixedbreadRanking)
