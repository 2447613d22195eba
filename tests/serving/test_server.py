"""The server as it runs: over real HTTP, through its proxy, under a replica that dies."""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from crossrank import Reranker
from tests.serving.conftest import KEY
from tests.serving.server import ROOT, STARTS_S, Server

QUERY = "how long does it take to charge?"
DOCUMENTS = ["Charging takes 4.5 hours.", "충전은 약 4시간 30분 걸립니다.", "The warranty is one year."]
WORKS_S = 4.0
"""What a server that is told to stop has still to do."""
HEADERS = {"authorization": f"Bearer {KEY}"}


def post(server: Server, path: str, body: Any, headers: Any = HEADERS, timeout: Any = 60) -> requests.Response:
    return requests.post(server.url + path, json=body, headers=headers, timeout=timeout)


def _by_index(answer: requests.Response) -> Any:
    """Scores to compare with: equal within 1e-5 whatever else was in their batch."""
    return pytest.approx({found["index"]: found["score"] for found in answer.json()}, abs=1e-5)


def test_scores_over_http_are_those_of_the_reranker(server: Server, model: str) -> None:
    logits = Reranker.load(model, device="cpu").score([(QUERY, document) for document in DOCUMENTS])
    answer = post(server, "/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True})
    assert answer.status_code == 200, answer.text
    assert {found["index"]: found["score"] for found in answer.json()} == pytest.approx(
        dict(enumerate(logits.tolist())), abs=1e-5
    )
    assert answer.headers["x-request-id"]


README = (ROOT / "README.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
CURLS = re.findall(r"(?:^|`)(curl localhost:8000/.*?})'", README, re.MULTILINE)


def test_the_readme_has_a_curl_line_for_each_route() -> None:
    routes = {line.split()[1].removeprefix("localhost:8000") for line in CURLS}
    assert routes >= {"/rerank", "/v2/rerank", "/v1/reranking", "/score", "/predict", "/invocations"}


@pytest.mark.parametrize("line", CURLS)
def test_a_curl_line_of_the_readme_is_answered(server: Server, line: str) -> None:
    words = shlex.split(line.replace("localhost:8000", f"127.0.0.1:{server.port}") + "'")
    key = ["-H", f"authorization: {HEADERS['authorization']}"]
    done = subprocess.run([*words, *key, "--silent", "--fail-with-body"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)


def test_many_clients_at_once_each_get_their_own_scores(server: Server) -> None:
    def ask(n: int) -> list[float]:
        body = {"queries": f"query {n % 5}", "documents": [f"document {n % 5}", "another one " * (1 + n % 3)]}
        answer = post(server, "/score", body)
        assert answer.status_code == 200, answer.text
        return [found["score"] for found in answer.json()["data"]]

    alone = [ask(n) for n in range(15)]
    with ThreadPoolExecutor(16) as clients:
        for n, scores in enumerate(clients.map(ask, range(150))):
            assert scores == pytest.approx(alone[n % 15], abs=1e-5)


def test_ten_thousand_documents_are_one_request(server: Server) -> None:
    documents = [f"number {n}" for n in range(10_000)]
    answer = post(server, "/v2/rerank", {"query": "q", "documents": documents, "timeout_ms": 60_000})
    assert answer.status_code == 200, answer.text[:300]
    found = answer.json()["results"]
    assert sorted(each["index"] for each in found) == list(range(10_000))
    scores = [each["relevance_score"] for each in found]
    assert scores == sorted(scores, reverse=True)


def test_a_key_is_asked_for(server: Server) -> None:
    answer = post(server, "/rerank", {"query": "q", "texts": ["a"]}, headers={})
    assert (answer.status_code, answer.json()["error_type"]) == (401, "Unauthorized")
    assert KEY not in server.said


def test_without_a_key_one_gets_what_the_documentation_says_and_nothing_else(server: Server) -> None:
    [told] = re.findall(r"^- Without a key one gets (.*?)All else", SECURITY, re.MULTILINE | re.DOTALL)
    public = re.findall(r"`(/.*?)`", told)
    assert len(public) == 10
    for path in public:
        assert requests.get(server.url + path, timeout=10).status_code == 200, path
    paths = requests.get(server.url + "/openapi.json", timeout=10).json()["paths"]
    routes = [(path, method) for path in paths for method in paths[path] if path not in public]
    assert len(routes) > 10
    for path, method in routes:
        assert requests.request(method, server.url + path, json={}, timeout=10).status_code == 401, path


def test_only_programs_of_ray_listen_where_others_reach(server: Server) -> None:
    """HAProxy's port and the replicas' own are on loopback; docs/security.md says how to close the rest."""
    open_ports: dict[int, str] = {}
    for process in server.family():
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and not ipaddress.ip_address(connection.laddr.ip).is_loopback:
                open_ports[connection.laddr.port] = process.name()
    assert server.port not in open_ports
    assert 8500 not in open_ports, "of Ray's own proxy, for when no replica is there"
    assert not [port for port in open_ports if 30_000 <= port < 31_000], "the replicas' own HTTP ports"
    assert len([name for name in open_ports.values() if name == "haproxy"]) == 2, "its statistics and metrics"


def test_a_client_that_goes_away_is_counted_and_its_work_dropped(server: Server) -> None:
    def dropped() -> float:
        lines = requests.get(server.url + "/metrics", timeout=10).text.splitlines()
        return sum(
            float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith('te_request_failure{err="dropped"}')
        )

    before = dropped()
    large = {"query": QUERY, "texts": [f"{n} " + "word " * 400 for n in range(500)], "timeout_ms": 60_000}
    with pytest.raises(requests.Timeout):
        post(server, "/rerank", large, timeout=(5, 0.2))
    until = time.monotonic() + 20
    while dropped() == before:
        assert time.monotonic() < until, "nobody noticed"
        time.sleep(0.1)


def test_half_a_request_harms_nobody(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as half:
        half.sendall(b"POST /rerank HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        assert post(server, "/rerank", {"query": "q", "texts": ["a"]}).status_code == 200


@pytest.mark.parametrize("tells_its_length", [True, False], ids=["with its length", "in chunks"])
def test_a_body_of_a_hundred_megabytes_is_refused_and_the_server_goes_on(
    server: Server, tells_its_length: bool
) -> None:
    body = b'{"query": "q", "texts": ["' + b"a" * 100_000_000 + b'"]}'
    chunks = (body[start : start + 1_000_000] for start in range(0, len(body), 1_000_000))
    sent: Any = body if tells_its_length else chunks
    answer = requests.post(server.url + "/rerank", data=sent, headers=HEADERS, timeout=60)
    assert (answer.status_code, answer.json()["error_type"]) == (413, "Validation")
    assert "over the limit of 32,000,000" in answer.json()["error"]
    assert post(server, "/rerank", {"query": "q", "texts": ["a"]}).status_code == 200


def test_metrics_and_docs_are_there(server: Server) -> None:
    assert "te_request_count" in requests.get(server.url + "/metrics", timeout=10).text
    assert "/v2/rerank" in requests.get(server.url + "/openapi.json", timeout=10).json()["paths"]
    assert requests.get(server.url + "/docs", timeout=10).status_code == 200


def test_a_replica_that_is_killed_is_replaced_and_no_score_is_wrong(server: Server) -> None:
    body = {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}
    right = _by_index(post(server, "/rerank", body))
    seen: Counter[str] = Counter()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                answer = post(server, "/rerank", body, timeout=30)
            except (requests.ConnectionError, requests.Timeout) as error:
                seen["hung" if isinstance(error, requests.ReadTimeout) else "closed"] += 1
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                assert {found["index"]: found["score"] for found in answer.json()} == right
            seen[str(answer.status_code)] += 1
            time.sleep(0.02)

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(ask) for _ in range(4)]
        time.sleep(1)
        [replica] = server.replicas()
        replica.kill()
        until = time.monotonic() + STARTS_S
        while not any(process.pid != replica.pid for process in server.replicas()):
            assert time.monotonic() < until, server.said
            time.sleep(0.1)
        while True:
            assert time.monotonic() < until, seen
            time.sleep(0.2)
            before = seen["200"]
            time.sleep(1.0)
            if seen["200"] > before + 10:
                break
        stop.set()
        for each in asking:
            each.result(timeout=60)
    assert set(seen) <= {"200", "closed", "500", "503"}, seen
    assert {found["index"]: found["score"] for found in post(server, "/rerank", body).json()} == right


def test_without_any_replica_nobody_waits_for_ever(model: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    server = Server(str(folder), tmp_path / "server.log", "--max-timeout-s", "5")
    try:
        server.wait_until_ready()
        folder.rename(tmp_path / "elsewhere")  # another replica cannot start
        for replica in server.replicas():
            replica.kill()
            replica.wait()
        answer = post(server, "/rerank", {"query": "q", "texts": ["a"]}, timeout=30)
        print(f"{answer.status_code} after {answer.elapsed}: {answer.text}")
        assert answer.status_code in (408, 500)
    finally:
        assert server.stop() == 0


def test_it_finishes_what_was_begun_when_told_to_stop_and_leaves_nothing_behind(
    model: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = Server(model, tmp_path_factory.mktemp("stopping") / "server.log", "--host", "localhost")
    server.wait_until_ready()
    tokens_per_second = requests.get(server.url + "/info", timeout=10).json()["limits"]["tokens_per_second"]
    text = "word " * 100
    tokens = len(post(server, "/tokenize", {"inputs": text}).json()[0])
    num = int(WORKS_S * tokens_per_second / tokens)
    body: Any = {"query": QUERY, "texts": [f"{n} {text}" for n in range(num)], "timeout_ms": 60_000}
    family = server.family()
    with ThreadPoolExecutor(1) as client:
        asking = client.submit(requests.post, server.url + "/rerank", json=body, timeout=90)
        time.sleep(1.0)
        began = time.monotonic()
        status = server.stop()
        took_s = time.monotonic() - began
        answer = asking.result()
    print(f"{num} documents in {answer.elapsed}, stopped after {took_s:.1f} s")
    assert answer.status_code == 200, answer.text[:300]
    assert sorted(found["index"] for found in answer.json()) == list(range(num))
    assert status == 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive
    assert "Traceback" not in server.said, server.said
