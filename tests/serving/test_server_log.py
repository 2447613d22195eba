"""The log of a running server as JSON: what its terminal shows, and where a request that failed is found.

How it could fail users: a collector that reads JSON chokes on the one line that matters; the id that a client reports
is in no log.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.serving.server import Server

LOGGED_S = 20.0
"""Ray writes what a replica says into its files at once; this is for a busy machine."""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where Ray keeps its session: short, since sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def server(model: str, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"CROSSRANK_LOG": "json", "RAY_TMPDIR": str(folder)}
    server = Server(model, tmp_path_factory.mktemp("log") / "server.log", environment=environment)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def of_request(folder: Path, request_id: str) -> dict[str, Any]:
    """The line that a replica wrote of a request, as a collector finds it on the node."""
    until = time.monotonic() + LOGGED_S
    while True:
        files = (folder / "ray" / "session_latest" / "logs").glob("worker-*.err")
        lines = [
            line for file in files for line in file.read_text().splitlines() if f'"request_id": "{request_id}"' in line
        ]
        if lines:
            [line] = lines
            found: dict[str, Any] = json.loads(line)
            return found
        assert time.monotonic() < until, f"nothing is written of {request_id}"
        time.sleep(0.2)


def test_a_request_that_fails_is_found_by_the_id_that_its_client_gave(server: Server, folder: Path) -> None:
    headers = {"x-request-id": "reported-by-a-client"}
    answer = requests.post(
        server.url + "/v2/rerank", json={"query": 7, "documents": ["a"]}, headers=headers, timeout=60
    )
    line = of_request(folder, "reported-by-a-client")
    assert (line["status"], answer.status_code) == (422, 422)
    assert (line["verb"], line["level"], line["error_type"]) == ("serve", "warning", "Validation")


def test_a_request_without_an_id_is_found_by_the_one_that_comes_back(server: Server, folder: Path) -> None:
    answer = requests.post(server.url + "/rerank", data="{", timeout=60)
    assert answer.status_code == 400
    assert of_request(folder, answer.headers["x-request-id"])["status"] == 400


def test_every_line_of_its_terminal_is_json_to_the_end(server: Server) -> None:
    server.stop()
    lines = [json.loads(line) for line in server.said.splitlines()]
    assert {line["verb"] for line in lines} == {"serve"}
    assert any(line["message"].startswith("ready: http") for line in lines)
    assert lines[-1]["message"] == "stopping"
