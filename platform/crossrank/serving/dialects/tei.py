"""text-embeddings-inference: ``{"query", "texts"}`` to a bare array, best first; and ``/predict`` on pairs.

Different from the original: equal scores come in ascending index, a query over its limit is refused and never cut
along with a document, and null is taken for any optional field. A ``model`` in the body is ignored, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.fields import Count, Options, Side, Text, Texts, Threshold, check_count, check_query
from crossrank.serving.dialects.ranking import ranked, scores_of
from crossrank.serving.dialects.response_types import Predictions, RankedTexts
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.errors import Invalid
from crossrank.serving.request import ScoringResponse

LABEL = "LABEL_0"
"""Name that transformers gives the one label of a reranker."""


class TeiOptions(Options):
    """Options that ``/rerank`` and ``/predict`` have in common."""

    truncate: bool | None = None
    """False refuses a document that does not fit."""
    truncation_direction: Side | None = None
    raw_scores: bool | None = None
    """True shows logits, otherwise probabilities."""


class TeiRerank(TeiOptions):
    """One query with its texts."""

    query: Text
    texts: Texts
    return_text: bool | None = None
    top_n: Count | None = None
    """The original ignores it; here it is honoured where a body has it, and without it every text comes back."""
    min_score: Threshold | None = None


class TeiPredict(TeiOptions):
    """Pairs: a flat list of two texts is one pair, a list of lists is a batch."""

    inputs: Text | Annotated[list[Text | Texts], Field(fail_fast=True)]


def read_rerank(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """A query and its texts.

    Raises:
        Empty: no texts.
        Invalid: a field that is not what it has to be, an empty query, or more texts than the server takes.
    """
    request = parsed(TeiRerank, body)
    check_query("query", request.query)
    check_batch("texts", len(request.texts), limits)
    score_request = request.score_request(
        [request.query], request.texts, request.truncate is not False, request.truncation_direction
    )

    def render(answer: ScoringResponse, served: Served) -> list[dict[str, Any]]:
        best = ranked(answer, bool(request.raw_scores), request.top_n, request.min_score)
        if request.return_text:
            return [{"index": c, "text": request.texts[c], "score": score} for c, score in best]
        return [{"index": c, "score": score} for c, score in best]

    return ParsedRequest("tei", score_request, None, render)


def read_predict(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """Pairs, scored in their order.

    Raises:
        Empty: no pairs.
        Invalid: a single text instead of a pair, an empty query, or more pairs than the server takes.
    """
    request = parsed(TeiPredict, body)
    pairs, single = _pairs(request.inputs)
    check_batch("inputs", len(pairs), limits)
    for i, (query, _) in enumerate(pairs):
        check_query("inputs[0]" if single else f"inputs[{i}][0]", query)
    queries, documents = zip(*pairs, strict=True)
    score_request = request.score_request(
        queries, documents, request.truncate is not False, request.truncation_direction
    )

    def render(answer: ScoringResponse, served: Served) -> list[Any]:
        scores = scores_of(answer, bool(request.raw_scores)).tolist()
        labels = [[{"score": score, "label": LABEL}] for score in scores]
        return labels[0] if single else labels

    return ParsedRequest("tei", score_request, None, render)


def check_batch(name: str, num: int, limits: Limits) -> None:
    """Refuse what is empty or too large, by the cap of text-embeddings-inference too where the server has it."""
    check_count(name, num, limits.max_documents)
    cap = limits.max_client_batch_size
    if cap is not None and num > cap:
        raise Invalid(f"batch size {num} > maximum allowed batch size {cap}; send smaller batches", name)


def _pairs(inputs: str | list[str | list[str]]) -> tuple[list[tuple[str, str]], bool]:
    """The pairs, and whether it is a single one outside of a batch."""
    if isinstance(inputs, str):
        raise _unpaired("inputs")
    if len(inputs) == 2 and isinstance(inputs[0], str) and isinstance(inputs[1], str):
        return [(inputs[0], inputs[1])], True
    return [_pair(f"inputs[{i}]", item) for i, item in enumerate(inputs)], False


def _pair(name: str, item: str | list[str]) -> tuple[str, str]:
    if isinstance(item, str) or len(item) == 1:
        raise _unpaired(name)
    if len(item) != 2:
        raise Invalid(f"{name} has {len(item)} texts, and a pair of a query and a text is wanted", name)
    return item[0], item[1]


def _unpaired(name: str) -> Invalid:
    return Invalid(f"{name} is a single text, and a reranker needs pairs; send [[query, text], ...]", name)


RERANK = Dialect("tei", lambda body: "texts" in body, TeiRerank, read_rerank, RankedTexts, speaks_tei=True)
PREDICT = Dialect("tei", lambda body: "inputs" in body, TeiPredict, read_predict, Predictions, speaks_tei=True)
