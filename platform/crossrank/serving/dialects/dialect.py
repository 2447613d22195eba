"""Interface of a dialect: a request as read from a body, and what writing the answer takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crossrank.serving.dialects.fields import Body
from crossrank.serving.request import ScoringRequest, ScoringResponse


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on the requests that this server accepts."""

    max_documents: int = 10_000
    """Documents of one request."""
    max_client_batch_size: int | None = None
    """Texts of a request in the dialect of text-embeddings-inference; None has no limit but `max_documents`."""
    max_timeout_s: float = 60.0
    """Seconds to which a longer timeout of a request is cut."""


@dataclass(frozen=True, slots=True)
class Served:
    """Facts about the model and the request that rendering needs beyond the scores."""

    model: str
    """The name that the model is served under."""
    revision: str
    request_id: str
    created: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """Request as a dialect read it."""

    dialect: str
    """Name of the dialect, for metrics and logs."""
    score_request: ScoringRequest
    """Pairs to be scored."""
    model: str | None
    """The model that the body names, where its dialect looks at it."""
    render: Callable[[ScoringResponse, Served], Any]
    """The JSON body of the 200."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One shape of request with its shape of answer."""

    name: str
    claims: Callable[[Mapping[str, Any]], bool]
    """Whether a body is in this dialect, by its keys alone."""
    request: type[Body]
    """Type of the body, with the fields that are read."""
    read: Callable[[Mapping[str, Any], str, Limits], ParsedRequest]
    """Reader of a body, given the path it came to and the limits. Raises Invalid or Empty."""
    answer: Any
    """The type of what `ParsedRequest.render` makes."""
    speaks_tei: bool = False
    """Whether refusals have the status and the body that text-embeddings-inference gives them."""
