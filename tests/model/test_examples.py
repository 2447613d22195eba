"""The examples that ask a server, as programs, against our HTTP surface over a tiny model, and against a full one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from crossrank import Reranker
from tests.model.served import KEY, served

EXAMPLES = Path(__file__).parents[2] / "examples"
STARTS_S = 60.0


@pytest.fixture(scope="module")
def url(tiny: Any) -> Iterator[str]:
    with (
        served(Reranker.load(str(tiny("bert")), max_length=128)) as client,
        socket.create_server(("127.0.0.1", 0)) as at,
    ):
        server = uvicorn.Server(uvicorn.Config(client.app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
        thread.start()
        until = time.monotonic() + STARTS_S
        while not server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield f"http://127.0.0.1:{at.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def said_by(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"CROSSRANK_KEY": KEY})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_curl_gets_ranked_documents_logits_scores_and_a_sentence_for_a_mistake(url: str) -> None:
    ranked, logits, scores, mistake = (
        json.loads(line) for line in said_by("sh", str(EXAMPLES / "ask_server.sh"), url).splitlines() if line[0] in "{["
    )
    assert len(ranked["results"]) == 2
    assert sorted(found["index"] for found in logits) == [0, 1]
    assert [found["index"] for found in scores["data"]] == [0, 1]
    assert "documents is empty" in mistake["message"]


def test_python_gets_each_document_with_its_probability_best_first(url: str) -> None:
    lines = said_by(sys.executable, str(EXAMPLES / "ask_server.py"), url).splitlines()
    probabilities = [float(line.split()[0]) for line in lines]
    assert len(lines) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(0 <= probability <= 1 for probability in probabilities)


def test_python_comes_back_to_a_full_server_when_it_was_told_to() -> None:
    came: list[float] = []

    class Full(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append(time.monotonic())
            first = len(came) == 1
            content = b"{}" if first else b'{"results": [{"index": 2, "relevance_score": 0.5}]}'
            self.send_response(429 if first else 200)
            self.send_header("Retry-After", "1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Full) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = said_by(sys.executable, str(EXAMPLES / "ask_server.py"), f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert said.startswith("0.500  Rinse the dust filter")
    assert len(came) == 2
    assert came[1] - came[0] >= 1
