"""vLLM's ``/score``: two sides of texts under one of four pairs of names, scored in their order.

The sides are one text and one, one and many, or as many and as many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crossrank.serving.dialects.dialect import Dialect, Limits, ParsedRequest, Served
from crossrank.serving.dialects.fields import Options, ScoreType, Side, Text, Texts, check_count, check_query
from crossrank.serving.dialects.ranking import scores_of, usage
from crossrank.serving.dialects.response_types import PairScores
from crossrank.serving.dialects.validation import parsed
from crossrank.serving.errors import Invalid
from crossrank.serving.request import ScoringResponse

SIDES = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))


class ScoreRequest(Options):
    """Two sides, of which the first is the queries."""

    text_1: Text | Texts | None = None
    text_2: Text | Texts | None = None
    queries: Text | Texts | None = None
    documents: Text | Texts | None = None
    items: Text | Texts | None = None
    data_1: Text | Texts | None = None
    data_2: Text | Texts | None = None
    truncation: bool | None = None
    """False refuses a document that does not fit."""
    truncation_side: Side | None = None
    use_activation: bool | None = None
    """False shows logits, unless `score_type` says otherwise."""
    score_type: ScoreType | None = None

    @property
    def logits(self) -> bool:
        """Whether scores are shown as logits."""
        return self.use_activation is False if self.score_type is None else self.score_type == "logit"


def read(body: Mapping[str, Any], path: str, limits: Limits) -> ParsedRequest:
    """Pairs of the two sides.

    Raises:
        Empty: a side without texts.
        Invalid: no two sides, sides that do not match, an empty query, or more texts than the server takes.
    """
    request = parsed(ScoreRequest, body)
    (first, queries), (second, documents) = _sides(request)
    for name, texts in ((first, queries), (second, documents)):
        check_count(name, len(texts), limits.max_documents)
    for i, query in enumerate(queries):
        check_query(f"{first}[{i}]", query)
    if len(queries) not in (1, len(documents)):
        raise Invalid(
            f"{first} has {len(queries)} texts and {second} has {len(documents)}; send one in {first}, or as many",
            first,
        )

    def render(answer: ScoringResponse, served: Served) -> dict[str, Any]:
        scores = scores_of(answer, request.logits).tolist()
        return {
            "id": served.request_id,
            "object": "list",
            "created": served.created,
            "model": served.model,
            "data": [{"index": c, "object": "score", "score": score} for c, score in enumerate(scores)],
            "usage": usage(answer),
        }

    score_request = request.score_request(queries, documents, request.truncation is not False, request.truncation_side)
    return ParsedRequest("vllm_score", score_request, request.model, render)


def _sides(request: ScoreRequest) -> list[tuple[str, list[str]]]:
    """Name and texts of both sides."""
    given = {name: _listed(getattr(request, name)) for pair in SIDES for name in pair}
    for pair in SIDES:
        if all(given[name] is not None for name in pair):
            return [(name, given[name] or []) for name in pair]
    for first, second in SIDES:
        if given[first] is not None:
            raise Invalid(f"{second} is missing, and has to be there beside {first}", second)
    raise Invalid("there are no pairs in the body; send text_1 and text_2, or queries and documents", "text_1")


def _listed(side: str | list[str] | None) -> list[str] | None:
    return [side] if isinstance(side, str) else side


SCORE = Dialect("vllm_score", lambda body: any(first in body for first, _ in SIDES), ScoreRequest, read, PairScores)
