"""Types of every dialect's responses, for OpenAPI: the bodies of the 200 and of every refusal.

Keys that may be left out are NotRequired; keys that are not here are never sent, and the fuzzing test holds it true.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

exactly = with_config(ConfigDict(extra="forbid"))


@exactly
class Usage(TypedDict):
    """Tokens that the request made the model read; a reranker writes none."""

    prompt_tokens: int
    total_tokens: int


@exactly
class TextObject(TypedDict):
    """A document as Cohere, Jina and vLLM give it back."""

    text: str


@exactly
class ApiVersion(TypedDict):
    """The version of Cohere's API that was spoken."""

    version: str


@exactly
class BilledUnits(TypedDict):
    """Units that Cohere would bill."""

    search_units: int


@exactly
class InputTokens(TypedDict):
    """Tokens as Cohere counts them."""

    input_tokens: int


@exactly
class Meta(TypedDict):
    """Cohere's account of a request."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: InputTokens
    warnings: NotRequired[list[str]]


@exactly
class TimingMs(TypedDict):
    """Milliseconds that the request spent."""

    tokenization: float
    queue: float
    inference: float
    total: float


@exactly
class RankedResult(TypedDict):
    """A document with its score; the last five keys come with ``include: ["diagnostics"]``."""

    index: int
    relevance_score: float
    id: NotRequired[str | int]
    document: NotRequired[TextObject | str]
    """A plain text for infinity and under Voyage's `data`."""
    logit: NotRequired[float]
    tokens: NotRequired[int]
    truncated: NotRequired[bool]
    truncated_tokens: NotRequired[int]
    chunks: NotRequired[int]


@exactly
class Ranking(TypedDict):
    """Cohere, Jina, vLLM, infinity and Voyage, best first."""

    id: str
    object: Literal["rerank", "list"]
    created: int
    model: str
    results: list[RankedResult]
    usage: Usage
    meta: NotRequired[Meta]
    data: NotRequired[list[RankedResult]]
    """The results again, where Voyage's client reads them."""
    model_revision: NotRequired[str]
    score_type: NotRequired[Literal["probability", "logit"]]
    timing_ms: NotRequired[TimingMs]
    truncated_documents: NotRequired[int]
    query_truncated_tokens: NotRequired[int]


@exactly
class RankedText(TypedDict):
    """A text with its score, for text-embeddings-inference."""

    index: int
    score: float
    text: NotRequired[str]


RankedTexts = list[RankedText]
"""text-embeddings-inference, best first."""


@exactly
class Label(TypedDict):
    """A score as a pipeline of transformers gives it."""

    label: str
    score: float


Predictions = list[Label] | list[list[Label]]
"""text-embeddings-inference on one pair, and on several in their order."""
PipelineLabels = Label | list[Label] | list[list[Label]]


@exactly
class RankedInput(TypedDict):
    """A document with its score, for mixedbread."""

    index: int
    score: float
    object: Literal["rank_result"]
    input: NotRequired[str]


@exactly
class MixedbreadRanking(TypedDict):
    """A ranking as mixedbread gives it, best first."""

    id: str
    object: Literal["list"]
    model: str
    data: list[RankedInput]
    usage: Usage
    top_k: int
    return_input: bool


@exactly
class PairScore(TypedDict):
    """The score of one pair, for vLLM."""

    index: int
    object: Literal["score"]
    score: float


@exactly
class PairScores(TypedDict):
    """vLLM's score, in the order of the pairs."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[PairScore]
    usage: Usage


@exactly
class ScoreList(TypedDict):
    """The scores of pairs in their order, for langchain's endpoint."""

    scores: list[float]


@exactly
class InstancePredictions(TypedDict):
    """One item for each instance, as its own dialect answers it."""

    predictions: list[RankedTexts | Predictions | PipelineLabels]


@exactly
class TeiFault(TypedDict):
    """A refusal as clients of text-embeddings-inference read it."""

    error: str
    error_type: str


@exactly
class ErrorObject(TypedDict):
    """The error as OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: int


@exactly
class FaultObject(TypedDict):
    """A refusal that all other clients can read."""

    id: NotRequired[str]
    message: str
    detail: str | list[dict[str, Any]]
    """A list for infinity's client where something is invalid."""
    error: ErrorObject
    error_type: str
