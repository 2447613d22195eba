"""The HTTP surface over a real tiny model, without Ray: scores, refusals, keys, health, metrics."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from crossrank import Reranker
from crossrank.serving.dialects import Limits
from crossrank.serving.keys import ApiKeys
from crossrank.serving.quotas import Quotas
from crossrank.serving.request import ScoringRequest
from crossrank.serving.service import Deadlines, ScoringService
from tests.model.served import DOCUMENTS, KEY, QUERY, served

PATHS = ("/rerank", "/v1/rerank", "/v2/rerank", "/reranking", "/v1/reranking")


@pytest.fixture(scope="module")
def reranker(tiny: Callable[[str], Path]) -> Reranker:
    return Reranker.load(str(tiny("bert")), device="cpu", max_length=64)


@pytest.fixture(scope="module")
def logits(reranker: Reranker) -> list[float]:
    return reranker.score([(QUERY, document) for document in DOCUMENTS]).tolist()


@pytest.fixture(scope="module")
def client(reranker: Reranker) -> Iterator[TestClient]:
    with served(reranker) as client:
        yield client


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("path", PATHS)
def test_each_path_ranks_as_the_reranker_does(client: TestClient, logits: list[float], path: str) -> None:
    answer = client.post(path, json={"query": QUERY, "documents": DOCUMENTS, "model": "tiny"})
    assert answer.status_code == 200, answer.text
    found = [(result["index"], result["relevance_score"]) for result in answer.json()["results"]]
    order = np.argsort(-np.array(logits), kind="stable").tolist()
    assert [index for index, _ in found] == order
    assert [score for _, score in found] == pytest.approx([sigmoid(logits[index]) for index in order], abs=1e-6)


def test_an_answer_tells_its_times_and_what_was_cut(client: TestClient) -> None:
    answer = client.post("/rerank", json={"query": QUERY, "texts": ["long " * 200, "short"]})
    assert answer.headers["x-truncated-documents"] == "1"
    assert int(answer.headers["x-compute-tokens"]) > 64
    for name in ("x-compute-time", "x-total-time", "x-queue-time", "x-tokenization-time", "x-inference-time"):
        assert answer.headers[name].isdigit()


def test_a_long_document_can_be_scored_by_its_best_chunk(client: TestClient) -> None:
    body = {"query": QUERY, "documents": ["long " * 100], "long_document": "chunk_max", "include": ["diagnostics"]}
    [result] = client.post("/v1/rerank", json=body).json()["results"]
    assert result["chunks"] > 1
    assert not result["truncated"]


REFUSED: list[tuple[str, Any, int, str]] = [
    ("/rerank", b"{nonsense", 400, "the body is not JSON"),
    ("/rerank", b"\xff\xfe{}", 400, "the body is not JSON"),
    ("/rerank", b'{"query": "q", "texts": ["a"], "query": "r"}', 400, "the key 'query' comes twice in one object"),
    ("/v2/rerank", b'{"query": "q", "documents": ["a"], "query": "q"}', 400, "the key 'query' comes twice"),
    ("/v1/rerank", b'{"query": "q", "documents": [{"text": "a", "text": "b"}]}', 400, "the key 'text' comes twice"),
    ("/rerank", b"[" * 100_000, 400, "the body is not JSON: nested too deeply"),
    ("/rerank", b'{"query":\n }', 400, "the body is not JSON: Expecting value at line 2, column 2"),
    ("/v1/rerank", b'{"n": 1' + b"0" * 5000 + b"}", 400, "not JSON: a whole number in it has thousands of digits"),
    ("/rerank", [1], 422, "an object is wanted"),
    ("/rerank", {"query": QUERY, "texts": []}, 400, "texts is empty"),
    ("/v1/rerank", {"query": QUERY, "documents": []}, 400, "documents is empty"),
    ("/v1/rerank", {"query": QUERY, "documents": ["a"] * 10_001}, 422, "10001 texts, over the limit of 10000"),
    ("/v2/rerank", {"query": 7, "documents": ["a"]}, 422, "query is 7, and a text is wanted"),
    ("/v2/rerank", {"query": None, "documents": ["a"]}, 422, "query is null"),
    ("/v2/rerank", {"documents": ["a"]}, 422, "query"),
    ("/v2/rerank", {"query": QUERY, "documents": ["a", 7]}, 422, "documents[1] is 7"),
    ("/v1/rerank", {"query": "word " * 60, "documents": ["a"]}, 422, "over its limit of 32"),
    ("/v1/rerank", {"query": QUERY, "documents": ["a"], "model": "other"}, 404, "the model 'other' is not here"),
    ("/v1/rerank", b'{"query": "\\ud800", "documents": ["a"]}', 422, "surrogate"),
    ("/v1/rerank", b'{"query": "q", "documents": ["a"], "min_score": NaN}', 422, "min_score"),
]


@pytest.mark.parametrize(("path", "body", "status", "words"), REFUSED, ids=lambda value: str(value)[:30])
def test_a_wrong_request_gets_its_status_and_one_sentence(
    client: TestClient, path: str, body: Any, status: int, words: str
) -> None:
    answer = client.post(path, content=body) if isinstance(body, bytes) else client.post(path, json=body)
    assert answer.status_code == status, answer.text
    told = answer.json()
    message = told["error"] if isinstance(told["error"], str) else told["error"]["message"]
    assert words in message
    assert "\n" not in message


def test_control_characters_are_text(client: TestClient) -> None:
    answer = client.post("/v1/rerank", json={"query": "a\x00b\x07", "documents": ["\x1b[0m", "c"]})
    assert answer.status_code == 200


def test_a_body_over_the_limit_is_refused_however_it_is_sent(reranker: Reranker) -> None:
    with served(reranker, max_body_bytes=1000) as client:
        body = b'{"query": "q", "texts": ["' + b"a" * 2000 + b'"]}'
        assert client.post("/rerank", content=body).status_code == 413
        streamed = client.post("/rerank", content=iter([body[:900], body[900:]]))
        assert streamed.status_code == 413
        assert "over the limit of 1,000" in streamed.json()["error"]


def test_without_a_key_nothing_is_told_but_health_and_metrics(reranker: Reranker) -> None:
    with served(reranker, keys=ApiKeys([KEY])) as client:
        body = {"query": "q", "texts": ["a"]}
        for authorization in (None, "Bearer wrong", "Bearer ", KEY[:-1], f"Basic {KEY}"):
            headers = {} if authorization is None else {"authorization": authorization}
            answer = client.post("/rerank", json=body, headers=headers)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert KEY not in answer.text
        for authorization in (f"Bearer {KEY}", f"bearer {KEY}", KEY):
            assert client.post("/rerank", json=body, headers={"authorization": authorization}).status_code == 200
        signed = {"authorization": "AWS4-HMAC-SHA256 Credential=x"}
        assert client.post("/invocations", json=body, headers=signed).status_code == 401
        for name in ("x-api-key", "x-amzn-sagemaker-custom-attributes"):
            assert client.post("/invocations", json=body, headers=signed | {name: KEY}).status_code == 200
        assert [client.get(path).status_code for path in ("/info", "/v1/models")] == [401, 401]
        assert client.post("/tokenize", json={"inputs": "a"}).status_code == 401
        assert [client.get(path).status_code for path in ("/health", "/health/live", "/ping", "/metrics")] == [200] * 4


def test_a_key_gets_what_it_may_use_and_no_more(reranker: Reranker) -> None:
    other = "another-key-of-23-chars"
    with served(reranker, keys=ApiKeys([KEY, other]), quotas=Quotas(1.0)) as client:

        def ask(key: str, documents: list[str]) -> Any:
            body = {"query": "q", "documents": documents}
            return client.post("/v2/rerank", json=body, headers={"authorization": f"Bearer {key}"})

        answer = ask(KEY, DOCUMENTS)
        tokens = answer.json()["usage"]["total_tokens"]
        assert tokens > 10  # what was saved up
        refusal = ask(KEY, ["a"])
        assert (refusal.status_code, refusal.json()["error_type"]) == (429, "Overloaded")
        # To the next token; a moment has passed.
        assert int(refusal.headers["retry-after-ms"]) == pytest.approx((tokens - 10 + 1) * 1000, abs=1000)
        assert ask(KEY, []).status_code == 400  # what is wrong is told as such
        assert ask(other, ["a"]).status_code == 200


def test_a_key_does_not_pay_for_what_was_refused(reranker: Reranker) -> None:
    with served(reranker, keys=ApiKeys([KEY]), quotas=Quotas(1.0)) as client:
        headers = {"authorization": f"Bearer {KEY}"}
        too_long = {"query": "word " * 1_000, "documents": DOCUMENTS}
        assert client.post("/v2/rerank", json=too_long, headers=headers).status_code == 422
        assert client.post("/v2/rerank", json={"query": "q", "documents": ["a"]}, headers=headers).status_code == 200


def test_a_key_is_asked_for_before_the_body_is_read(reranker: Reranker) -> None:
    with served(reranker, keys=ApiKeys([KEY])) as client:
        assert client.post("/rerank", content=b"{nonsense").status_code == 401


def test_a_full_queue_is_told_with_an_honest_time(reranker: Reranker) -> None:
    with served(reranker, deadlines=Deadlines(queue_s=1e-9)) as client:
        service: ScoringService = client.app.state.service  # type: ignore[attr-defined]
        service.engine.in_flight_tokens = 10_000
        answer = client.post("/v1/rerank", json={"query": QUERY, "documents": DOCUMENTS})
        assert answer.status_code == 429
        assert answer.json()["error_type"] == "Overloaded"
        wait_s = 10_000 / service.engine.tokens_per_second
        assert int(answer.headers["retry-after-ms"]) == pytest.approx(wait_s * 1000, rel=0.05, abs=60)
        assert int(answer.headers["retry-after"]) == math.ceil(int(answer.headers["retry-after-ms"]) / 1000)


def test_more_work_than_its_deadline_allows_is_no_reason_to_come_back(client: TestClient) -> None:
    body = {"query": QUERY, "documents": [f"{n} " + "word " * 50 for n in range(9_000)], "timeout_ms": 1}
    answer = client.post("/v1/rerank", json=body)
    assert (answer.status_code, "retry-after" in answer.headers) == (422, False)
    assert "timeout_ms" in answer.json()["message"]


def test_a_model_that_breaks_is_an_error_and_unhealthy_and_then_well_again(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(reranker) as client:
        service: ScoringService = client.app.state.service  # type: ignore[attr-defined]
        service.engine.last_success = None
        with monkeypatch.context() as patch:
            patch.setattr(reranker._scorer, "launch", _raise)
            assert client.post("/rerank", json={"query": "q", "texts": ["a"]}).status_code == 424
            assert client.post("/v2/rerank", json={"query": "q", "documents": ["a"]}).status_code == 500
            assert client.get("/health").status_code == 503
            assert client.get("/health/live").status_code == 200
        assert client.post("/rerank", json={"query": "q", "texts": ["a"]}).status_code == 200
        assert client.get("/health").status_code == 200


def test_a_score_that_is_not_a_number_is_an_error_never_a_result(
    reranker: Reranker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(reranker) as client:
        monkeypatch.setattr(reranker._scorer, "read", lambda launched: np.full(len(launched), np.nan, np.float32))
        answer = client.post("/rerank", json={"query": "q", "texts": ["a", "b"]})
        assert answer.status_code == 424
        assert "not a number" in answer.json()["error"]


def test_info_and_models_tell_the_limits(client: TestClient) -> None:
    info = client.get("/info").json()
    assert info["max_input_length"] == 64
    assert info["limits"]["max_query_tokens"] == 32
    assert info["limits"]["max_documents_per_request"] == 10_000
    [model] = client.get("/v1/models").json()["data"]
    assert (model["id"], model["max_model_len"]) == ("tiny", 64)


def test_tokens_are_shown_with_their_places(client: TestClient) -> None:
    [tokens] = client.post("/tokenize", json={"inputs": "charge it"}).json()
    assert [token["special"] for token in (tokens[0], tokens[-1])] == [True, True]
    words = [token for token in tokens if not token["special"]]
    assert "".join("charge it"[token["start"] : token["stop"]] for token in words) == "chargeit"
    assert client.post("/tokenize", json={"inputs": [7]}).status_code == 422


def test_openapi_tells_the_body_of_every_path(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    bodies = {path: methods["post"]["requestBody"] for path, methods in schema["paths"].items() if path in PATHS}
    assert set(bodies) == set(PATHS)
    text = json.dumps(schema)
    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in schema["components"]["schemas"]
    assert "#/$defs" not in text


def test_metrics_count_what_was_asked(reranker: Reranker) -> None:
    with served(reranker, limits=Limits(max_documents=5)) as client:
        client.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS})
        client.post("/rerank", json={"query": QUERY, "texts": ["a"] * 6})
        lines = client.get("/metrics").text.splitlines()
    assert 'te_request_count{method="rerank"} 2.0' in lines
    assert 'te_request_success{method="rerank"} 1.0' in lines
    assert 'te_request_failure{err="validation"} 1.0' in lines
    [documents] = [line for line in lines if line.startswith("rr_documents_total")]
    assert 'dialect="tei"' in documents
    assert documents.endswith("} 4.0")
    assert any(line.startswith("te_batch_next_size_sum") for line in lines)


def test_a_pair_has_the_same_score_whatever_else_is_in_flight(reranker: Reranker, logits: list[float]) -> None:
    async def scores() -> list[list[float]]:
        service = ScoringService(reranker._scorer)
        await service.start()
        rng = np.random.default_rng(0)
        noise = [
            ScoringRequest(
                queries=(f"noise {n}",), documents=tuple("word " * int(k) for k in rng.integers(1, 50, size=20))
            )
            for n in range(20)
        ]
        mine = ScoringRequest(queries=(QUERY,), documents=tuple(DOCUMENTS))
        answers = await asyncio.gather(*(service.score(ask) for ask in [*noise[:10], mine, *noise[10:], mine]))
        service.stop()
        return [answer.logits_C.tolist() for answer in (answers[10], answers[-1])]

    for found in asyncio.run(scores()):
        assert found == pytest.approx(logits, abs=1e-5)


def test_a_request_that_nobody_waits_for_is_dropped_before_the_model(reranker: Reranker) -> None:
    async def abandoned() -> tuple[int, int]:
        service = ScoringService(reranker._scorer)
        await service.start()
        large = ScoringRequest(queries=(QUERY,), documents=tuple("word " * 50 for _ in range(2_000)), timeout_s=60.0)
        task = asyncio.create_task(service.score(large))
        while not service.engine.queue.num_tickets:
            await asyncio.sleep(0)
        queued = service.engine.queue.num_tokens
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        left = service.engine.queue.num_tokens
        service.stop()
        return queued, left

    queued, left = asyncio.run(abandoned())
    assert queued > 0
    assert left == 0


def test_a_server_that_stops_refuses_and_ends_what_waits(reranker: Reranker) -> None:
    async def stopped() -> list[Any]:
        service = ScoringService(reranker._scorer)
        await service.start()
        large = ScoringRequest(queries=(QUERY,), documents=tuple("word " * 50 for _ in range(2_000)), timeout_s=60.0)
        task = asyncio.create_task(service.score(large))
        while not service.engine.queue.num_tickets:
            await asyncio.sleep(0)
        await asyncio.to_thread(service.stop)
        return [*await asyncio.gather(task, service.score(replace(large)), return_exceptions=True)]

    for fault in asyncio.run(stopped()):
        assert "shutting down" in str(fault)


def _raise(*_: Any) -> None:
    raise RuntimeError("the weights are gone")
