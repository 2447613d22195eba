"""Refusals as the client of each dialect reads them.

Clients of text-embeddings-inference want ``{"error": text, "error_type"}``. All others get one object: Cohere's SDK
reads ``message``, Jina's clients ``detail``, OpenAI's and infinity's ``error.message``.
"""

from __future__ import annotations

from typing import Any

from crossrank.serving.dialects.dialect import Dialect
from crossrank.serving.errors import RequestError, UnknownModel

FAILED_IN_TEI = 424
"""Status that text-embeddings-inference has in place of 500."""
INVALID = 422


def status_and_body(fault: RequestError, dialect: Dialect | None, speaks_tei: bool, request_id: str) -> tuple[int, Any]:
    """Status and JSON body of the refusal of a request.

    Args:
        dialect: the one of the request, None where its body could not be read.
        speaks_tei: whether the client is one of text-embeddings-inference.
        request_id: left out of the body where it is empty.
    """
    message = str(fault)
    if speaks_tei:
        status = FAILED_IN_TEI if fault.kind == "Backend" else fault.status
        return status, {"error": message, "error_type": fault.kind}
    in_infinity = dialect is not None and dialect.name == "infinity"
    status = 400 if in_infinity and isinstance(fault, UnknownModel) else fault.status
    body = {
        "id": request_id,
        "message": message,
        "detail": _listed(fault) if in_infinity and status == INVALID else message,
        "error": {"message": message, "type": fault.kind, "param": fault.parameter, "code": status},
        "error_type": fault.kind,
    }
    return status, body if request_id else {key: value for key, value in body.items() if key != "id"}


def _listed(fault: RequestError) -> list[dict[str, Any]]:
    """A 422 as infinity's own client parses it; any other detail makes that client fail."""
    return [{"loc": ["body", fault.parameter or ""], "msg": str(fault), "type": "value_error"}]
