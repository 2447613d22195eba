"""What goes wrong inside the server, and what takes long: over HTTP, without Ray.

How it could fail users: a mistake of ours is answered with a page that no client can read, or not counted; a client
that went away leaves no trace; figures are gone when one replica hangs; one request holds up the tokenising of all
others, or goes on long after its deadline; the server seems ill because it is busy.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crossrank import Reranker
from crossrank.scoring.pair_scorer import PairScorer
from crossrank.serving import incremental, tokens
from crossrank.serving import service as service_module
from crossrank.serving.app import AppContext, build_app, metrics_text
from crossrank.serving.errors import Expired
from crossrank.serving.keys import ApiKeys
from crossrank.serving.metrics import Metrics
from crossrank.serving.quotas import Quotas
from crossrank.serving.request import ScoringRequest, ScoringResponse
from crossrank.serving.service import ScoringService
from tests.model.served import DOCUMENTS, KEY, QUERY, served, service_of
from tests.unit.serving.scraped import scraped

TEI = ("/rerank", {"query": QUERY, "texts": DOCUMENTS})
COHERE = ("/v2/rerank", {"query": QUERY, "documents": DOCUMENTS})
TOKENIZE = ("/tokenize", {"inputs": "charge it"})


@pytest.fixture(scope="module")
def reranker(tiny: Callable[[str], Path]) -> Reranker:
    return Reranker.load(str(tiny("bert")), device="cpu", max_length=64)


@pytest.fixture
def client(reranker: Reranker) -> Iterator[TestClient]:
    with served(reranker) as client:
        yield client


def figures(client: TestClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return scraped(answer.text)


def broken(*_: Any) -> Any:
    raise RuntimeError("the tokenizer panicked\nat line 7")


# mistakes of our own


@pytest.mark.parametrize(
    ("where", "status"),
    [(TEI, 424), (COHERE, 500), (("/predict", {"inputs": ["q", "a"]}), 424), (TOKENIZE, 424)],
    ids=lambda value: str(value)[:20],
)
def test_a_mistake_of_ours_is_a_refusal_in_the_dialect_counted_and_logged(
    client: TestClient,
    where: tuple[str, Any],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("encode", "shown_tokens"):
        monkeypatch.setattr(service_module, name, broken)
    path, body = where
    refusal = client.post(path, json=body, headers={"x-request-id": "mine"})
    assert (refusal.status_code, refusal.json()["error_type"]) == (status, "Backend")
    assert "the server failed on this request (runtime error); send it again" in refusal.text
    assert "panicked" not in refusal.text
    assert figures(client)['te_request_failure{err="inference"}'] == 1
    [record] = [record for record in caplog.records if "request mine failed" in record.message]
    assert record.exc_info is not None
    monkeypatch.undo()
    assert client.post(path, json=body).status_code == 200


def test_a_mistake_of_another_replica_is_a_refusal_too(reranker: Reranker) -> None:
    async def score(ask: ScoringRequest) -> ScoringResponse:
        raise ValueError("as Ray would raise what another replica raised")

    with served(reranker, score=score) as client:
        refusal = client.post(*TEI[:1], json=TEI[1])
        assert (refusal.status_code, refusal.json()["error_type"]) == (424, "Backend")
        assert figures(client)['te_request_failure{err="inference"}'] == 1


def test_what_is_told_of_the_model_may_fail_too(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PairScorer, "describe", broken)
    refusal = client.get("/info")
    assert (refusal.status_code, refusal.json()["error_type"]) == (500, "Backend")


def test_a_trial_pair_that_fails_in_any_way_is_an_unhealthy_server(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_of(client).engine.last_success = None
    monkeypatch.setattr(service_module, "encode", broken)
    assert client.get("/health").status_code == 503


# clients that go away


class Gone:
    """A client that sends some of its request and then closes its connection."""

    def __init__(self, app: Any, *messages: dict[str, Any]) -> None:
        self._app = app
        self._messages = [*messages, {"type": "http.disconnect"}]
        self.statuses: list[int] = []

    async def ask(self) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v2/rerank",
            "raw_path": b"/v2/rerank",
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"x-request-id", b"mine")],
            "server": ("127.0.0.1", 80),
        }
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        return self._messages.pop(0)

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.statuses.append(message["status"])


@pytest.mark.parametrize("part", ["half of a body", "a whole body"])
def test_a_client_that_goes_away_is_counted_and_leaves_one_line_in_the_log(
    client: TestClient, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"query": "q", "documents": ["a"], "priority": 5}'
    half = part == "half of a body"
    gone = Gone(client.app, {"type": "http.request", "body": body[:9] if half else body, "more_body": half})
    with caplog.at_level(logging.WARNING):
        asyncio.run(gone.ask())
    assert gone.statuses == [499]
    [line] = [record.message for record in caplog.records if record.message.startswith("499")]
    assert re.fullmatch(r"499 /rerank: request mine failed after 0\.\d\d s: the client went away", line)
    found = figures(client)
    assert found['te_request_failure{err="dropped"}'] == 1
    [cancelled] = [name for name in found if name.startswith("rr_client_cancelled_total")]
    assert ('dialect="unread"' in cancelled) is half
    assert ('priority="low"' in cancelled) is not half


# metrics of several replicas


@pytest.mark.parametrize("fault", [TimeoutError("one hangs"), RuntimeError("one died")], ids=repr)
def test_when_the_other_replicas_cannot_be_asked_the_figures_that_are_known_are_told(
    reranker: Reranker, fault: Exception
) -> None:
    other = Metrics()
    other.arrived("rerank")
    acts: list[Exception | None] = [None, fault]

    async def metrics_of_all() -> list[str]:
        act = acts.pop(0)
        if act is not None:
            raise act
        return [site.all_replicas.message(other.replica, other.families(1, 0.0, 0.0))]

    service = ScoringService(reranker._scorer)
    site = AppContext(service, ("tiny",), metrics_of_all=metrics_of_all)
    client = TestClient(build_app(site), raise_server_exceptions=False)
    site.metrics.arrived("rerank")
    assert figures(client)['te_request_count{method="rerank"}'] == 2
    site.metrics.arrived("rerank")
    found = figures(client)
    assert found['te_request_count{method="rerank"}'] == 3
    assert found["te_queue_size"] == 0
    service.stop()


def test_what_was_told_is_shared_with_the_other_replicas(reranker: Reranker) -> None:
    shared: list[str] = []

    async def share(memory: str) -> None:
        shared.append(memory)

    async def metrics_of_all() -> list[str]:
        return []

    service = ScoringService(reranker._scorer)
    site = AppContext(service, ("tiny",), metrics_of_all=metrics_of_all, share=share)
    with TestClient(build_app(site)) as client:
        site.metrics.arrived("rerank")
        client.get("/metrics")
        client.get("/health/live")  # by then it has happened
    other = AppContext(service, ("tiny",))
    other.all_replicas.remember(shared[0])
    assert scraped(other.all_replicas.exposed([metrics_text(other)]))['te_request_count{method="rerank"}'] == 1
    service.stop()


# tokenising


def test_tokens_are_made_beside_the_event_loop_and_paid_for(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    shown = tokens.shown_tokens

    def noted(*arguments: Any) -> Any:
        threads.append(threading.current_thread().name)
        return shown(*arguments)

    monkeypatch.setattr(service_module, "shown_tokens", noted)
    with served(reranker, keys=ApiKeys([KEY]), quotas=Quotas(1.0)) as client:
        headers = {"authorization": f"Bearer {KEY}"}
        found = client.post("/tokenize", json={"inputs": "charge it " * 20}, headers=headers)
        assert len(found.json()[0]) > 10  # what the key had saved up
        refusal = client.post("/tokenize", json={"inputs": "a"}, headers=headers)
        assert (refusal.status_code, refusal.json()["error_type"]) == (429, "Overloaded")
        assert "retry-after-ms" in refusal.headers
    assert [name.split("_")[0] for name in threads] == ["tokenizer"]


def test_more_text_than_can_be_shown_is_refused(client: TestClient) -> None:
    assert client.post("/tokenize", json={"inputs": ["a" * 100_000, " " * 100_000]}).status_code == 200
    refusal = client.post("/tokenize", json={"inputs": ["a" * 100_000, " " * 100_001]})
    assert refusal.status_code == 422
    assert refusal.json()["error"] == ("inputs holds 200,001 characters, over the limit of 200,000; send less at once")
    assert client.get("/info").json()["limits"]["max_tokenize_characters"] == 200_000


LARGE = ScoringRequest(
    queries=(QUERY,), documents=tuple(f"{n} " + "charge it now " * 20 for n in range(5_000)), timeout_s=60.0
)
MEDIUM = ScoringRequest(
    queries=(QUERY,), documents=tuple(f"{n} " + "charge it now " * 20 for n in range(100)), timeout_s=60.0
)


def test_a_large_request_lets_others_come_between_while_it_is_tokenised(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "TOKENIZER_THREADS", 1)

    async def order() -> list[int]:
        service = ScoringService(reranker._scorer)
        await service.start()
        counted: list[int] = []
        monkeypatch.setattr(service.admission, "counted", lambda characters, _: counted.append(characters))
        asks = [asyncio.create_task(service.score(ask, patient=True)) for ask in (LARGE, MEDIUM)]
        await asks[1]
        while len(counted) < 2:
            await asyncio.sleep(0.01)
        asks[0].cancel()
        await asyncio.gather(*asks, return_exceptions=True)
        service.stop()
        return counted

    assert asyncio.run(order()) == [MEDIUM.num_text_characters, LARGE.num_text_characters]


def test_a_request_is_not_tokenised_beyond_its_deadline(reranker: Reranker, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []
    one_of = incremental.one_of

    def slowly(work: Any) -> Any:
        begun.append(time.monotonic())
        time.sleep(0.05)
        return one_of(work)

    monkeypatch.setattr(service_module, "one_of", slowly)
    monkeypatch.setattr(service_module, "TOKENIZER_THREADS", 1)

    async def late() -> tuple[float, int, int]:
        service = ScoringService(reranker._scorer)
        await service.start()
        began = time.monotonic()
        ask = ScoringRequest(queries=LARGE.queries, documents=LARGE.documents, timeout_s=0.2)
        results = await asyncio.gather(*(service.score(ask, patient=True) for _ in range(3)), return_exceptions=True)
        seconds = time.monotonic() - began
        assert all(isinstance(result, Expired) for result in results), results
        num = len(begun)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(service.stop)
        return seconds, num, len(begun)

    seconds, at_the_deadline, afterwards = asyncio.run(late())
    assert seconds < 2.0  # all steps of the three would take 14 s
    assert afterwards <= at_the_deadline + 1


# health


def test_a_full_queue_is_no_illness(client: TestClient) -> None:
    service = service_of(client)
    service.engine.last_success = None
    permit = service.admission.let_in(10**12, 60.0)
    assert client.post(COHERE[0], json=COHERE[1]).status_code == 429
    assert client.get("/health").status_code == 200
    permit.release()
