"""Every dialect that reranker clients speak, recognised by the path and the keys of the body.

    texts                    text-embeddings-inference
    documents, raw_scores    infinity
    documents, top_k         Voyage
    documents                Cohere, Jina, vLLM
    input, query             mixedbread
    text_1, queries, data_1  vLLM's score
    inputs                   text-embeddings-inference's predict; with objects in it, the pipeline of transformers
    text_pairs, instances    LangChain on SageMaker, Vertex

One file each; `read` and `fault_body` are all that HTTP needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crossrank.serving.dialects import cohere, infinity, instances, mixedbread, pipeline, tei, vllm_score
from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.error_bodies import status_and_body
from crossrank.serving.dialects.validation import shown
from crossrank.serving.errors import Invalid, RequestError

__all__ = ["ROUTES", "TIMEOUT_HEADER", "Dialect", "Limits", "ParsedRequest", "Served", "fault_body", "read"]

TIMEOUT_HEADER = "x-request-timeout-seconds"
"""Seconds that a client waits, where the body has no ``timeout_ms``."""

_RERANK = (tei.RERANK, mixedbread.RERANK, infinity.RERANK, cohere.VOYAGE, cohere.RERANK)
_PREDICT = (tei.RERANK, pipeline.PIPELINE, tei.PREDICT)
_INVOCATIONS = (
    tei.RERANK,
    instances.INSTANCES,
    pipeline.TEXT_PAIRS,
    vllm_score.SCORE,
    *_RERANK[1:],
    *_PREDICT[1:],
)
ROUTES: dict[str, tuple[Dialect, ...]] = {
    "/rerank": _RERANK,
    "/v1/rerank": _RERANK,
    "/v2/rerank": _RERANK,
    "/v1/reranking": _RERANK,
    "/reranking": _RERANK,
    "/score": (vllm_score.SCORE,),
    "/v1/score": (vllm_score.SCORE,),
    "/predict": _PREDICT,
    "/": _PREDICT,
    "/invocations": _INVOCATIONS,
}
"""Dialects by path: the first that claims a body reads it; the last takes the rest, and says what is missing."""
_TEI_BY_PATH = ("/rerank", "/predict", "/")
"""Paths at which a body that cannot be read is taken for one of text-embeddings-inference."""


def read(path: str, body: Any, headers: Mapping[str, str], limits: Limits) -> ParsedRequest:
    """Read what a request requests for out of its body, path and headers.

    Args:
        path: one that `ROUTES` has.
        body: parsed JSON.
        headers: the request's, with lower-case names or in a mapping that ignores case.

    Raises:
        Empty: nothing to score.
        Invalid: anything else that is wrong with it, in one sentence.
    """
    if not isinstance(body, dict):
        raise Invalid(f"the body is {shown(body)}, and an object is wanted")
    parsed = _dialect(path, body).read(body, path, limits)
    timeout_s = parsed.score_request.timeout_s or _header_timeout(headers)
    if timeout_s is None:
        return parsed
    return replace(parsed, score_request=replace(parsed.score_request, timeout_s=min(timeout_s, limits.max_timeout_s)))


def fault_body(path: str, body: Any | None, fault: RequestError, request_id: str) -> tuple[int, Any]:
    """Status and JSON body of a fault, in the dialect of the request.

    Args:
        path: any; one that is not served gets the body that most clients read.
        body: parsed JSON, None where there was none.
    """
    if isinstance(body, dict) and path in ROUTES:
        dialect = _dialect(path, body)
        return status_and_body(fault, dialect, dialect.speaks_tei, request_id)
    return status_and_body(fault, None, path in _TEI_BY_PATH, request_id)


def _dialect(path: str, body: Mapping[str, Any]) -> Dialect:
    dialects = ROUTES[path]
    return next((dialect for dialect in dialects if dialect.claims(body)), dialects[-1])


def _header_timeout(headers: Mapping[str, str]) -> float | None:
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return None
    try:
        timeout_s = float(value)
    except ValueError:
        timeout_s = 0.0
    # Not a number is not above 0 either.
    if not 0 < timeout_s < float("inf"):
        raise Invalid(f"the header {TIMEOUT_HEADER} is {shown(value)}, and a number of seconds above 0 is wanted")
    return timeout_s
