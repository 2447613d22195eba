"""What is read out of a body, what it takes to write the answer, and what a dialect is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crossrank.serving.dialects.fields import Body
from crossrank.serving.request import ScoringRequest, ScoringResponse


@dataclass(frozen=True, slots=True)
class Limits:
    """What this server accepts."""

    max_documents: int = 10_000
    max_client_batch_size: int | None = None
    """The cap of text-embeddings-inference on bodies in its shape; None has no cap but `max_documents`."""
    max_timeout_s: float = 60.0
    """A longer wait is cut to this."""


@dataclass(frozen=True, slots=True)
class Served:
    """What rendering needs beyond the answer."""

    model: str
    """The name that the model is served under."""
    revision: str
    request_id: str
    created: int
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request that was understood."""

    dialect: str
    ask: ScoringRequest
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
    """The fields that are read."""
    read: Callable[[Mapping[str, Any], str, Limits], ParsedRequest]
    """From a body, the path it came to and the limits. Raises Invalid or Empty."""
    answer: Any
    """The type of what `ParsedRequest.render` makes."""
    speaks_tei: bool = False
    """Faults are told as text-embeddings-inference tells them."""
