"""What the server writes into its log of requests that fail: each is found by its id.

How it could fail users: a client reports the id of a request that failed, and nobody finds a trace of it; a key or a
document stands in a log that many read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crossrank import Reranker
from crossrank.serving import service as service_module
from crossrank.serving.keys import ApiKeys
from crossrank.telemetry.log_format import JsonFormatter
from tests.model.served import DOCUMENTS, KEY, QUERY, served

GOOD = {"query": QUERY, "documents": DOCUMENTS}
HEADERS = {"authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def client(tiny: Callable[[str], Path]) -> Iterator[TestClient]:
    reranker = Reranker.load(str(tiny("bert")), device="cpu", max_length=64)
    with served(reranker, keys=ApiKeys([KEY])) as client:
        yield client


def told(caplog: pytest.LogCaptureFixture, request_id: str) -> dict[str, Any]:
    """The one line about a request, as it is written where lines are JSON."""
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    [line] = [line for line in lines if line.get("request_id") == request_id]
    assert isinstance(line, dict)
    return line


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "error_type"),
    [
        ("/v2/rerank", GOOD, {}, 401, "Unauthorized"),
        ("/v2/rerank", {"query": 7, "documents": DOCUMENTS}, HEADERS, 422, "Validation"),
        ("/v2/rerank", GOOD | {"model": "another"}, HEADERS, 404, "Validation"),
        ("/rerank", {"query": QUERY, "texts": []}, HEADERS, 400, "Empty"),
    ],
    ids=lambda value: str(value)[:16],
)
def test_a_request_that_is_refused_is_found_by_the_id_that_its_client_gave(
    client: TestClient,
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    error_type: str,
) -> None:
    answer = client.post(path, json=body, headers={"x-request-id": "mine-7", **headers})
    line = told(caplog, "mine-7")
    assert (line["status"], line["error_type"], line["level"]) == (answer.status_code, error_type, "warning")
    assert answer.status_code == status, answer.text
    assert line["method"] == "rerank"
    assert 0 <= line["seconds"] < 5
    assert f" /rerank: request mine-7 failed after {line['seconds']:.2f} s: " in line["message"]


@pytest.mark.parametrize("path", ["/info", "/v1/models"])
def test_who_asks_what_the_server_is_and_is_refused_is_found_too(
    client: TestClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    assert client.get(path).status_code == 401
    [line] = [
        json.loads(JsonFormatter().format(record)) for record in caplog.records if record.name.startswith("cross")
    ]
    assert (line["status"], line["error_type"], line["level"]) == (401, "Unauthorized", "warning")
    assert line["message"].startswith(f"401 {path}: the Authorization header holds no key")


def test_a_client_that_gave_no_id_finds_the_one_of_its_answer(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = client.post("/v2/rerank", json={"query": 7, "documents": []}, headers=HEADERS)
    assert told(caplog, answer.json()["id"])["status"] == 422


def test_a_mistake_of_ours_has_its_traceback_in_the_line_of_its_request(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("panicked")

    monkeypatch.setattr(service_module, "encode", broken)
    client.post("/v2/rerank", json=GOOD, headers={"x-request-id": "bug-1", **HEADERS})
    line = told(caplog, "bug-1")
    assert (line["level"], line["status"]) == ("error", 500)
    assert "RuntimeError: panicked" in line["traceback"]


def test_a_request_that_is_answered_leaves_no_line_and_no_key_or_text_is_in_any(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert client.post("/v2/rerank", json=GOOD, headers=HEADERS).status_code == 200
        assert not [record for record in caplog.records if record.name.startswith("crossrank")]
        wrong = {"authorization": f"Bearer {KEY}-wrong"}
        assert client.post("/v2/rerank", json=GOOD, headers=wrong).status_code == 401
        assert client.post("/v2/rerank", json={"query": QUERY, "documents": 7}, headers=HEADERS).status_code == 422
    written = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    assert "request_id" in written
    assert KEY not in written
    assert QUERY not in written
