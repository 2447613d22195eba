"""Requests that SageMaker endpoints take: the text-classification pipeline of transformers on pairs, and LangChain's
``{"text_pairs"}``.

Different from the pipeline: a pair that does not fit is cut unless ``truncation`` is false, where the pipeline fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.fields import Body, Count, Options, ScoreType, Text, check_count, check_query
from crossrank.serving.dialects.ranking import scores_of
from crossrank.serving.dialects.response_types import PipelineLabels, ScoreList
from crossrank.serving.dialects.tei import LABEL
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.errors import Invalid
from crossrank.serving.request import ScoringResponse


class Pair(Body):
    """A query and a text, as the pipeline names them."""

    text: Text
    text_pair: Text


class Parameters(Body):
    """Arguments of the pipeline's call; what else there may be is ignored."""

    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = None
    """none shows logits. softmax is refused: of one label it is always 1."""
    top_k: Count | None = None
    """Number that is ignored; the presence of the key, even as null, puts each score in a list of its own."""
    truncation: bool | Text | None = None
    """False, or transformers' word do_not_truncate, refuses a pair that does not fit."""


class PipelineRequest(Options):
    """A pair, or a list of pairs."""

    inputs: Pair | Annotated[list[Pair], Field(fail_fast=True)]
    parameters: Parameters | None = None


class TextPairsRequest(Options):
    """Pairs as LangChain's SagemakerEndpointCrossEncoder sends them."""

    text_pairs: Annotated[
        list[Annotated[list[Text], Field(min_length=2, max_length=2, fail_fast=True)]],
        Field(fail_fast=True),
    ]
    score_type: ScoreType | None = None


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """Pairs as objects: ``{"label", "score"}`` for one, a list of them in its order for a list.

    Raises:
        Empty: no pairs.
        Invalid: a text without its pair, an empty query, softmax, or more pairs than the server takes.
    """
    request = parsed(PipelineRequest, body)
    parameters = request.parameters or Parameters()
    single = isinstance(request.inputs, Pair)
    pairs = [request.inputs] if isinstance(request.inputs, Pair) else request.inputs
    check_count("inputs", len(pairs), limits.max_documents)
    for i, pair in enumerate(pairs):
        check_query("inputs.text" if single else f"inputs[{i}].text", pair.text)
    if parameters.function_to_apply == "softmax":
        raise Invalid(
            "parameters.function_to_apply is softmax, of which one label always gets 1; send sigmoid or none",
            "parameters.function_to_apply",
        )
    may_cut = parameters.truncation not in (False, "do_not_truncate")
    score_request = request.score_request([p.text for p in pairs], [p.text_pair for p in pairs], may_cut, None)

    def render(answer: ScoringResponse, served: Served) -> Any:
        scores = scores_of(answer, parameters.function_to_apply == "none").tolist()
        labels: list[Any] = [{"label": LABEL, "score": score} for score in scores]
        if "top_k" in parameters.model_fields_set:
            labels = [[label] for label in labels]
        return labels[0] if single else labels

    return ParsedRequest("pipeline", score_request, None, render)


def read_text_pairs(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """Pairs as lists: ``{"scores": [...]}`` in their order.

    Raises:
        Empty: no pairs.
        Invalid: something else than two texts, an empty query, or more pairs than the server takes.
    """
    request = parsed(TextPairsRequest, body)
    pairs = request.text_pairs
    check_count("text_pairs", len(pairs), limits.max_documents)
    for i, (query, _) in enumerate(pairs):
        check_query(f"text_pairs[{i}][0]", query)
    score_request = request.score_request([query for query, _ in pairs], [text for _, text in pairs], True, None)

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        return {"scores": scores_of(answer, request.score_type == "logit").tolist()}

    return ParsedRequest("text_pairs", score_request, request.model, render)


def is_pipeline(body: Mapping[str, Any]) -> bool:
    """`inputs` is an object, or a list that begins with one."""
    inputs = body.get("inputs")
    return isinstance(inputs[0] if isinstance(inputs, list) and inputs else inputs, Mapping)


PIPELINE = Dialect("pipeline", is_pipeline, PipelineRequest, read, PipelineLabels, speaks_tei=True)
TEXT_PAIRS = Dialect("text_pairs", lambda body: "text_pairs" in body, TextPairsRequest, read_text_pairs, ScoreList)
