"""``{"instances": [...]}``, as Vertex and some SageMaker endpoints wrap requests: ``{"predictions": [...]}``.

An instance is a request of text-embeddings-inference (``texts`` or ``inputs``), or a bare pair ``{"text",
"text_pair"}``. All of them are scored as one request, so what may be cut and the instruction have to be the same in
all; the most important priority and the shortest timeout hold for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Annotated, Any

from pydantic import Field

from crossrank.serving.dialects import pipeline, tei
from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.fields import Body, check_count
from crossrank.serving.dialects.response_types import InstancePredictions
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.errors import Empty, Invalid
from crossrank.serving.request import ScoringRequest, ScoringResponse


class InstancesRequest(Body):
    """Requests in one body."""

    instances: Annotated[list[dict[str, Any]], Field(fail_fast=True)]


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """All instances as one request.

    Raises:
        Empty: no instances, or one without texts.
        Invalid: an instance that is not a request, or that is cut or instructed otherwise than the first; more texts
            than the server takes in all of them.
    """
    instances = parsed(InstancesRequest, body).instances
    check_count("instances", len(instances), limits.max_documents)
    parts = [_part(i, instance, path, limits) for i, instance in enumerate(instances)]
    request = _together([part.score_request for part in parts])
    check_count("instances", len(request.documents), limits.max_documents)
    edges = list(pairwise(accumulate((len(part.score_request.documents) for part in parts), initial=0)))

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        slices = [_slice(answer, start, end) for start, end in edges]
        return {"predictions": [part.render(piece, served) for part, piece in zip(parts, slices, strict=True)]}

    return ParsedRequest("instances", request, None, render)


def _part(i: int, instance: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    bare_pair = "text" in instance and "inputs" not in instance
    body = {**instance, "inputs": dict(instance)} if bare_pair else instance
    dialect = next((d for d in (tei.RERANK, pipeline.PIPELINE) if d.claims(body)), tei.PREDICT)
    try:
        return dialect.read(body, path, limits)
    except (Invalid, Empty) as fault:
        raise type(fault)(f"instances[{i}]: {fault}", f"instances[{i}].{fault.parameter}") from fault


def _together(requests: Sequence[ScoringRequest]) -> ScoringRequest:
    """Join the requests of all instances into one, with a query for each document."""
    first = requests[0]
    for i, request in enumerate(requests):
        for same, how in (
            (request.cutting == first.cutting, "cut"),
            (request.instruction == first.instruction, "instructed"),
        ):
            if not same:
                raise Invalid(
                    f"instances[{i}] is {how} otherwise than instances[0]; send it in a request of its own",
                    f"instances[{i}]",
                )
    queries = [query for request in requests for query in _repeated(request)]
    return replace(
        first,
        queries=tuple(queries[:1]) if len(set(queries)) == 1 else tuple(queries),
        documents=tuple(document for request in requests for document in request.documents),
        priority=min(request.priority for request in requests),
        timeout_s=min((request.timeout_s for request in requests if request.timeout_s is not None), default=None),
    )


def _repeated(request: ScoringRequest) -> Sequence[str]:
    return request.queries * len(request.documents) if len(request.queries) == 1 else request.queries


def _slice(answer: ScoringResponse, start: int, end: int) -> ScoringResponse:
    return replace(
        answer,
        logits_C=answer.logits_C[start:end],
        tokens_C=answer.tokens_C[start:end],
        cut_C=answer.cut_C[start:end],
        chunks_C=answer.chunks_C[start:end],
    )


INSTANCES = Dialect("instances", lambda body: "instances" in body, InstancesRequest, read, InstancePredictions)
