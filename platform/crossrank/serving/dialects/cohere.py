"""Cohere v1 and v2, Jina, vLLM's ``/rerank`` and Voyage: ``{"query", "documents"}``, one request that holds them all.

The bodies of Cohere v1, Jina and vLLM cannot be distinguished, so the answer is one object that each of their clients
reads: ``id`` and ``meta`` for Cohere, ``usage`` and ``model`` for Jina and vLLM, documents as ``{"text": ...}`` for
all. Keys without a value are left out: LiteLLM fails on ``"document": null``.

Whether documents come back where the body does not say:

    /v2/rerank   no: Cohere's v2 never sends them
    elsewhere    yes: Jina's default, vLLM always does, and Cohere's v1 client does not mind
    Voyage       no

Voyage is known by ``top_k`` without ``top_n``; its answer is under ``data`` as well, with documents as plain texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.documents import Documents, ids_of, listed, texts_of
from crossrank.serving.dialects.fields import (
    Count,
    Options,
    ScoreType,
    Side,
    Text,
    Texts,
    Threshold,
    check_count,
    check_query,
)
from crossrank.serving.dialects.ranking import ranked, usage
from crossrank.serving.dialects.response_types import Ranking
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.request import ScoringResponse

DOCUMENTS_OF_A_SEARCH_UNIT = 100
"""Documents that Cohere bills as one search unit."""


class RerankRequest(Options):
    """One query with its documents."""

    query: Text
    documents: Documents
    top_n: Count | None = None
    return_documents: bool | None = None
    rank_fields: Texts | None = None
    """Fields of object documents that are read instead of title and text."""
    truncation: bool | None = None
    """False refuses a document that does not fit."""
    truncation_side: Side | None = None
    score_type: ScoreType | None = None
    use_activation: bool | None = None
    """vLLM's word: false shows logits, unless `score_type` says otherwise."""
    min_score: Threshold | None = None
    include: list[Literal["diagnostics"]] | None = None
    """``diagnostics`` adds what each score cost, and what was cut for it."""

    @property
    def logits(self) -> bool:
        """Whether scores are shown as logits."""
        return self.use_activation is False if self.score_type is None else self.score_type == "logit"


class VoyageRequest(RerankRequest):
    """Voyage says `top_k` for `top_n`."""

    top_k: Count | None = None


class CohereReading:
    """A request of this family with its texts, ready to be scored and rendered. Other dialects build on it.

    Raises:
        Empty: no documents.
        Invalid: an empty query, too many documents, or one without text.
    """

    def __init__(self, request: RerankRequest, limits: Limits) -> None:
        documents = listed(request.documents)
        check_query("query", request.query)
        check_count("documents", len(documents), limits.max_documents)
        self.request = request
        self.texts = texts_of("documents", documents, request.rank_fields)
        self._ids = ids_of(documents)
        cut = request.truncation is not False
        self.score_request = request.score_request([request.query], self.texts, cut, request.truncation_side)

    def body(
        self, answer: ScoringResponse, served: Served, top_n: int | None, show: Callable[[str], Any] | None
    ) -> dict[str, Any]:
        """The answer that the dialects of this family have in common.

        Args:
            show: how a document is given back; None leaves it out.
        """
        best = ranked(answer, self.request.logits, top_n, self.request.min_score)
        results = [self._result(c, score, show) for c, score in best]
        body = {
            "id": served.request_id,
            "object": "rerank",
            "created": served.created,
            "model": served.model,
            "results": results,
            "usage": usage(answer),
        }
        if self.request.include:
            for result in results:
                result.update(_cost(answer, result["index"]))
            body.update(_costs(answer, served, self.request.logits))
        return body

    def _result(self, c: int, score: float, show: Callable[[str], Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = {"index": c, "relevance_score": score}
        if self._ids[c] is not None:
            result["id"] = self._ids[c]
        if show is not None:
            result["document"] = show(self.texts[c])
        return result


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """A request of Cohere, Jina or vLLM. Raises as `CohereReading` does, and Invalid for fields of the wrong type."""
    reading = CohereReading(parsed(RerankRequest, body), limits)
    request = reading.request
    asked = path != "/v2/rerank" if request.return_documents is None else request.return_documents
    version = "1" if path.startswith("/v1/") else "2"

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        rendered = reading.body(answer, served, request.top_n, _as_object if asked else None)
        return rendered | {"meta": _meta(answer, version)}

    return ParsedRequest("cohere_v1" if version == "1" else "cohere", reading.score_request, request.model, render)


def read_voyage(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """A request of Voyage. Raises as `read` does."""
    request = parsed(VoyageRequest, body)
    reading = CohereReading(request, limits)

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        rendered = reading.body(answer, served, request.top_k, _as_object if request.return_documents else None)
        data = [result | _as_text(result) for result in rendered["results"]]
        return rendered | {"object": "list", "data": data}

    return ParsedRequest("voyage", reading.score_request, request.model, render)


def is_voyage(body: Mapping[str, Any]) -> bool:
    """Documents with `top_k` and no `top_n`; Voyage's own client sends null for all."""
    return "documents" in body and "top_k" in body and body.get("top_n") is None


def _as_object(text: str) -> dict[str, str]:
    return {"text": text}


def _as_text(result: Mapping[str, Any]) -> dict[str, str]:
    return {"document": result["document"]["text"]} if "document" in result else {}


def _meta(answer: ScoringResponse, version: str) -> dict[str, Any]:
    num = len(answer.logits_C)
    meta: dict[str, Any] = {
        "api_version": {"version": version},
        "billed_units": {"search_units": math.ceil(num / DOCUMENTS_OF_A_SEARCH_UNIT)},
        "tokens": {"input_tokens": answer.num_tokens},
    }
    warnings = []
    if num_cut := answer.num_cut:
        warnings.append(f"{num_cut} of {num} documents were cut")
    if answer.query_cut:
        warnings.append(f"the query was cut by {answer.query_cut} tokens")
    return meta | {"warnings": warnings} if warnings else meta


def _cost(answer: ScoringResponse, c: int) -> dict[str, Any]:
    return {
        "logit": float(answer.logits_C[c]),
        "tokens": int(answer.tokens_C[c]),
        "truncated": bool(answer.cut_C[c] > 0),
        "truncated_tokens": int(answer.cut_C[c]),
        "chunks": int(answer.chunks_C[c]),
    }


def _costs(answer: ScoringResponse, served: Served, logits: bool) -> dict[str, Any]:
    timing = answer.timing
    seconds = {
        "tokenization": timing.tokenization_s,
        "queue": timing.queue_s,
        "inference": timing.inference_s,
        "total": timing.total_s,
    }
    return {
        "model_revision": served.revision,
        "score_type": "logit" if logits else "probability",
        "timing_ms": {name: round(value * 1000, 3) for name, value in seconds.items()},
        "truncated_documents": answer.num_cut,
        "query_truncated_tokens": answer.query_cut,
    }


RERANK = Dialect("cohere", lambda body: "documents" in body, RerankRequest, read, Ranking)
VOYAGE = Dialect("voyage", is_voyage, VoyageRequest, read_voyage, Ranking)
