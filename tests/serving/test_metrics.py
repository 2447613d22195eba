"""The series of all replicas, when one of them hangs or dies.

How it could fail users: `/metrics` is an error page just when somebody looks what is wrong; a dashboard shows a burst
of requests that never were.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
import requests

from tests.serving.server import STARTS_S, Server

BODY = {"query": "q", "texts": ["a", "b"]}


@pytest.fixture(scope="module")
def pair(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("pair") / "server.log"
    server = Server(model, log, "--min-replicas", "2", "--max-replicas", "2")
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


def series(server: Server) -> dict[str, float]:
    answer = requests.get(server.url + "/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    lines = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def num_told(found: dict[str, float]) -> int:
    return sum(name.startswith("rr_tokens_per_second") for name in found)


def requests_of(found: dict[str, float]) -> float:
    return found['te_request_count{method="rerank"}']


def wait_for_both(server: Server) -> dict[str, float]:
    until = time.monotonic() + STARTS_S
    while num_told(found := series(server)) != 2:
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def test_a_replica_that_hangs_leaves_the_figures_of_the_other(pair: Server) -> None:
    for _ in range(20):
        requests.post(pair.url + "/rerank", json=BODY, timeout=30).raise_for_status()
    assert requests_of(wait_for_both(pair)) == 20
    for hangs in pair.replicas():
        hangs.send_signal(signal.SIGSTOP)
        try:
            seen = 0
            while not seen:  # the one that hangs is asked every second time
                try:
                    found = series(pair)
                except requests.Timeout:
                    continue
                seen += 1
                assert num_told(found) == 1
                assert requests_of(found) == 20
        finally:
            hangs.send_signal(signal.SIGCONT)
        wait_for_both(pair)


def test_what_a_replica_counted_stays_when_it_is_killed(pair: Server) -> None:
    before = requests_of(wait_for_both(pair))
    pair.replicas()[0].kill()
    until, seen = time.monotonic() + STARTS_S, 0
    while seen < 5:
        assert time.monotonic() < until
        try:
            answer = requests.get(pair.url + "/metrics", timeout=10)
        except (requests.ConnectionError, requests.Timeout):
            continue
        if answer.status_code != 200:  # of HAProxy, until it knows that the replica is gone
            time.sleep(0.1)
            continue
        found = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
        assert float(found['te_request_count{method="rerank"}']) >= before
        seen += 1
    assert requests_of(wait_for_both(pair)) >= before
