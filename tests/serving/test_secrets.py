"""Keys stay where they are: in no log, answer, metric or command line; and nothing of a request is a path or a URI."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from tests.serving.conftest import KEY
from tests.serving.server import Server

WRONG = "fedcba9876543210-mistyped"
"""A key with a typing error is nearly a key: whoever reads a log must not see it either."""
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
QUESTION: dict[str, Any] = {"query": "q", "documents": ["a", "b"]}


@pytest.fixture(scope="module")
def answers(server: Server) -> list[requests.Response]:
    """What the server says to right and wrong keys, wherever they are put, to what is wrong, and about itself."""
    url = server.url
    asked = [requests.post(f"{url}/v2/rerank", json=QUESTION, headers=AUTHORIZED, timeout=60)]
    assert asked[0].status_code == 200, asked[0].text
    for header in ({"authorization": f"Bearer {WRONG}"}, {"authorization": WRONG}, {"x-api-key": WRONG}):
        asked.append(requests.post(f"{url}/v2/rerank", json=QUESTION, headers=header, timeout=60))
        assert asked[-1].status_code == 401
    asked.append(requests.post(f"{url}/v2/rerank", json=QUESTION, headers={"x-api-key": KEY}, timeout=60))
    assert asked[-1].status_code == 200
    # A client that mixes up where things go.
    asked.append(requests.post(f"{url}/v2/rerank", json={"query": 1, "api_key": KEY}, headers=AUTHORIZED, timeout=60))
    asked.append(requests.post(f"{url}/v2/rerank", data=b"{nonsense", headers=AUTHORIZED, timeout=60))
    asked.append(requests.get(f"{url}/no/such/route", headers=AUTHORIZED, timeout=60))
    asked += [requests.get(url + path, headers=AUTHORIZED, timeout=60) for path in ("/info", "/metrics", "/v1/models")]
    asked.append(requests.get(f"{url}/openapi.json", timeout=60))
    return asked


def test_no_key_is_in_an_answer(answers: list[requests.Response]) -> None:
    for answer in answers:
        told = answer.text + str(answer.headers)
        assert KEY not in told, answer.url
        assert WRONG not in told, answer.url


def test_no_key_is_in_what_the_server_and_ray_write_down(server: Server, answers: list[requests.Response]) -> None:
    assert answers
    assert not [key for key in (KEY, WRONG) if key in server.said]
    files = [path for path in session_of(server).rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if "replica" in path.name], "the log of a replica is among them"
    for path in files:
        content = path.read_bytes()
        assert KEY.encode() not in content, path
        assert WRONG.encode() not in content, path


def test_no_key_is_in_a_command_line(server: Server, answers: list[requests.Response]) -> None:
    assert answers
    lines = [" ".join(process.cmdline()) for process in server.family()]
    assert len(lines) > 5, "Ray's processes are among them"
    assert not [line for line in lines if KEY in line or WRONG in line]


def session_of(server: Server) -> Path:
    """The folder in which the server's Ray writes down everything."""
    for process in server.family():
        try:
            found = re.search(r"(/\S*/session_[\w-]+)", " ".join(process.cmdline()))
        except psutil.Error:
            continue
        if found:
            return Path(found[1])
    raise AssertionError("no process of Ray names its session")


# paths and URIs

IN_OPEN, IN_ACCESS = 0x20, 0x1


@contextmanager
def opened(*paths: Path) -> Iterator[list[str]]:
    """Which of these files and folders anybody opens meanwhile, whatever program does it; told at the end."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    names = {libc.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN | IN_ACCESS): path.name for path in paths}
    assert -1 not in names, os.strerror(ctypes.get_errno())
    found: list[str] = []
    try:
        yield found
        with open(descriptor, "rb", buffering=0, closefd=False) as events:
            while told := events.read(65_536):
                place = 0
                while place < len(told):
                    watch, _, _, length = struct.unpack_from("iIII", told, place)
                    found.append(names[watch])
                    place += 16 + length
    finally:
        os.close(descriptor)


def test_the_watch_sees_who_opens_a_file(tmp_path: Path) -> None:
    (tmp_path / "seen").write_text("x")
    (tmp_path / "unseen").write_text("x")
    with opened(tmp_path / "seen", tmp_path / "unseen") as found:
        (tmp_path / "seen").read_text()
    assert set(found) == {"seen"}


def test_paths_and_uris_of_a_request_are_texts_and_nothing_else(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a text that nobody asked for\n")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as listener, opened(secret, model, model / "config.json") as found:
        listener.settimeout(1)
        home = f"http://127.0.0.1:{listener.getsockname()[1]}"
        tempting = [str(secret), f"file://{secret}", f"@{secret}", f"../../../../..{secret}", f"{home}/text"]
        tempting += [
            f"s3://127.0.0.1{secret}",
            f"{{{{{secret}}}}}",
            f"$(cat {secret})",
            f"hf://{model}",
            f"{secret}\x00",
        ]
        for each in tempting:
            body: Any = {"query": each, "documents": [each, {"text": each}]}
            answer = requests.post(f"{server.url}/v2/rerank", json=body, headers=AUTHORIZED, timeout=60)
            assert answer.status_code == 200, answer.text
            assert "nobody asked for" not in answer.text
        for field in ("model", "instruction", "user", "prompt", "tokenizer", "lora", "adapter", "revision"):
            for each in (str(model), f"file://{model}", f"{home}/model", f"../..{model}"):
                body = QUESTION | {field: each}
                answer = requests.post(f"{server.url}/v2/rerank", json=body, headers=AUTHORIZED, timeout=60)
                assert answer.status_code in (200, 400, 404, 422), answer.text
        for path in (f"/{secret}", f"/..%2f..{secret}", f"/static/../..{secret}", f"/v1/models/{model}"):
            answer = requests.get(server.url + path, headers=AUTHORIZED, timeout=60)
            assert answer.status_code in (400, 404, 405), (path, answer.status_code)
        with pytest.raises(TimeoutError):
            listener.accept()
    assert found == []
