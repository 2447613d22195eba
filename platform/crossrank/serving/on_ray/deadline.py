"""A deadline that a client gives as a header: Ray Serve keeps it too, and it must not be first.

Its clock starts before ours, and when it is past Serve cancels the request and answers 408 as plain text. So what this
server reads is a little shorter, and its own answer, in the dialect of the request, is on its way by then.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from crossrank.serving.dialects import TIMEOUT_HEADER

SHARE = 0.2
"""Share of the time that is kept for the way to the server and back, the body included."""
MOST_S = 0.5
"""Seconds that are kept at most."""


class EarlierDeadline:
    """Middleware that shortens the time in the header; one that is no time is left for others to refuse."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            name = TIMEOUT_HEADER.encode()
            headers = [(key, earlier(value) if key == name else value) for key, value in scope["headers"]]
            scope = {**scope, "headers": headers}
        await self._app(scope, receive, send)


def earlier(value: bytes) -> bytes:
    """Header value with less time, as `SHARE` and `MOST_S` say; one that is no time comes back unchanged."""
    try:
        seconds = float(value)
    except ValueError:
        return value
    return str(seconds - min(SHARE * seconds, MOST_S)).encode() if 0 < seconds < float("inf") else value
