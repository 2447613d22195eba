"""The deadline in a header, which Ray Serve keeps as well and with a clock that starts before ours."""

import asyncio
from typing import Any

import pytest

from crossrank.serving.on_ray.deadline import EarlierDeadline, earlier


@pytest.mark.parametrize(("given", "read"), [(b"30", 29.5), (b"2.5", 2.0), (b"1", 0.8), (b"0.1", 0.08)])
def test_the_server_has_a_little_less_time_than_the_client_gave(given: bytes, read: float) -> None:
    assert float(earlier(given)) == pytest.approx(read)


@pytest.mark.parametrize("value", [b"", b"soon", b"\xff", b"0", b"-1", b"nan", b"inf"])
def test_what_is_no_time_is_left_for_others_to_refuse(value: bytes) -> None:
    assert earlier(value) == value


def test_no_other_header_is_touched_and_what_is_no_request_passes() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        return None

    headers = [(b"host", b"30"), (b"x-request-timeout-seconds", b"30")]
    scope: dict[str, Any] = {"type": "http", "path": "/rerank", "headers": headers}
    asyncio.run(EarlierDeadline(app)(scope, nothing, nothing))
    asyncio.run(EarlierDeadline(app)({"type": "lifespan"}, nothing, nothing))
    assert seen[0]["headers"] == [(b"host", b"30"), (b"x-request-timeout-seconds", b"29.5")]
    assert seen[0]["path"] == "/rerank"
    assert scope["headers"] == headers
    assert seen[1] == {"type": "lifespan"}
