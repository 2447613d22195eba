"""The server is asked whatever its own OpenAPI schema allows, and whatever it does not.

How it could fail users: a body that nobody thought of is answered with a 500; a status, a content type or a shape of
answer comes that the schema does not tell, and a generated client breaks on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from crossrank.scoring.pair_scorer import PairScorer
from crossrank.serving.app import AppContext, build_app
from crossrank.serving.dialects import ROUTES, TIMEOUT_HEADER
from crossrank.serving.service import ScoringService

WITH_BODIES = [("POST", path) for path in (*ROUTES, "/tokenize")]
OPERATIONS = [
    *WITH_BODIES,
    ("POST", "/ping"),
    *[("GET", path) for path in ("/health", "/health/ready", "/health/live", "/ping", "/info", "/metrics")],
    *[("GET", path) for path in ("/models", "/v1/models")],
]


def nothing_failed(context: Any, response: Any, case: Any) -> None:
    """A request whose own deadline of a millisecond has passed gets 504; nothing else is the server's fault."""
    asked_for_a_deadline = TIMEOUT_HEADER in case.headers or "timeout_ms" in str(case.body)
    if not (response.status_code == 504 and asked_for_a_deadline):
        assert response.status_code < 500
        assert response.status_code != 424


CHECKS = [nothing_failed, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def schema(tiny: Callable[[str], Path]) -> Iterator[Any]:
    service = ScoringService(PairScorer.load(str(tiny("bert")), device="cpu", max_length=64))
    asyncio.run(service.start())
    yield schemathesis.openapi.from_asgi("/openapi.json", build_app(AppContext(service, ("tiny",))))
    service.stop()


def test_every_operation_of_the_schema_is_fuzzed(schema: Any) -> None:
    found = {(each.ok().method.upper(), each.ok().path) for each in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_schema_allows_is_answered_as_it_tells(schema: Any, method: str, path: str) -> None:
    _ask(schema[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), WITH_BODIES)
def test_what_the_schema_forbids_is_answered_as_it_tells(schema: Any, method: str, path: str) -> None:
    _ask(schema[path][method], GenerationMode.NEGATIVE)


def _ask(operation: Any, mode: GenerationMode) -> None:
    @settings(phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()
