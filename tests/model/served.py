"""The HTTP surface over a real tiny model, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient

from crossrank import Reranker
from crossrank.serving.app import AppContext, build_app
from crossrank.serving.service import Deadlines, ScoringService

QUERY = "how long does it take to charge?"
DOCUMENTS = ["Charging takes 4.5 hours.", "충전은 약 4시간 30분 걸립니다.", "The warranty is one year.", ""]
KEY = "0123456789abcdef-key"


@contextmanager
def served(reranker: Reranker, **site: Any) -> Iterator[TestClient]:
    """A server that answers in this process; its service is `client.app.state.service`."""
    service = ScoringService(reranker._scorer, site.pop("deadlines", Deadlines()))
    asyncio.run(service.start())
    try:
        yield TestClient(build_app(AppContext(service, ("tiny",), **site)), raise_server_exceptions=False)
    finally:
        service.stop()


def service_of(client: TestClient) -> ScoringService:
    """The service behind a server."""
    service: ScoringService = client.app.state.service  # type: ignore[attr-defined]
    return service
