"""Errors with which a request is refused or fails, each with its HTTP status and the name that clients of
text-embeddings-inference know it by. A dialect turns an error into a body.
"""

from __future__ import annotations

from typing import Any, Literal

from crossrank.errors import CrossrankError

ShedReason = Literal["queue", "deadline", "key"]
"""Reason for a 429: the queue is full, the request would wait past its deadline, or its key has used up its tokens."""


class RequestError(CrossrankError):
    """A request that gets no scores; the message is one sentence for its sender."""

    status = 500
    kind = "Backend"
    """The ``error_type`` of text-embeddings-inference, or one in its style."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
        """The field of the body that is to blame."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By default a copy in another process is made from the message alone, and an Overloaded needs more.
        return _restored, (type(self), self.args, self.__dict__)


class Unparsable(RequestError):
    """The body is not JSON."""

    status = 400
    kind = "Validation"


class Invalid(RequestError):
    """A field is missing, has the wrong type, or a value beyond its limit."""

    status = 422
    kind = "Validation"


class Empty(RequestError):
    """There is nothing to score."""

    status = 400
    kind = "Empty"


class TooLarge(RequestError):
    """The body has more bytes than the server reads."""

    status = 413
    kind = "Validation"


class Unauthorized(RequestError):
    """No key, or none that this server knows."""

    status = 401
    kind = "Unauthorized"


class UnknownModel(RequestError):
    """The request names a model that is not here."""

    status = 404
    kind = "Validation"


class Overloaded(RequestError):
    """More was asked than can be done now; try again after `retry_after_s`."""

    status = 429
    kind = "Overloaded"

    def __init__(self, message: str, retry_after_s: float, reason: ShedReason = "queue") -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.reason = reason


class NotReady(RequestError):
    """The server starts, drains, or has lost its model."""

    status = 503
    kind = "Unhealthy"


class Expired(RequestError):
    """The deadline of the request passed before its scores were there."""

    status = 504
    kind = "Timeout"


class Broken(RequestError):
    """The model failed on this request: memory, or a score that is not a number."""

    status = 500
    kind = "Backend"


class Abandoned(RequestError):
    """The client went away; nobody reads this."""

    status = 499
    kind = "Cancelled"


def _restored(kind: type[RequestError], arguments: tuple[Any, ...], state: dict[str, Any]) -> RequestError:
    fault = kind.__new__(kind, *arguments)
    fault.__dict__.update(state)
    return fault
