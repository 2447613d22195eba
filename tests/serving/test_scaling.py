"""Replicas come and go with the work that waits, and no request fails meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.serving.server import Server

SCALES_S = 90.0
"""What a second replica may take to come, or to go, on two busy cores."""


def test_a_second_replica_comes_with_the_load_and_goes_with_it(model: str, tmp_path: Path) -> None:
    flags = ("--min-replicas", "1", "--max-replicas", "2", "--scale-down-after-s", "3", "--max-queue-s", "60")
    server = Server(model, tmp_path / "server.log", *flags)
    body: Any = {"query": "how long?", "texts": ["word " * 100] * 300, "timeout_ms": 60_000}
    seen: Counter[int] = Counter()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen[requests.post(server.url + "/rerank", json=body, timeout=90).status_code] += 1

    try:
        server.wait_until_ready()
        with ThreadPoolExecutor(8) as clients:
            asking = [clients.submit(ask) for _ in range(8)]
            try:
                _wait_for_replicas(server, 2)
            finally:
                stop.set()
            for each in asking:
                each.result()
        _wait_for_replicas(server, 1)
        assert requests.post(server.url + "/rerank", json=body, timeout=90).status_code == 200
    finally:
        server.stop()
    assert set(seen) == {200}, seen


def _wait_for_replicas(server: Server, num: int) -> None:
    until = time.monotonic() + SCALES_S
    while len(server.replicas()) != num:
        if time.monotonic() > until:
            pytest.fail(f"{len(server.replicas())} replicas, and {num} were to be seen: {server.said}")
        time.sleep(0.2)
