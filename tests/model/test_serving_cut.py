"""What does not fit, over HTTP: told in every dialect, counted before it is tokenised, and never for ever refused.

How it could fail users: a document or half a question is not read, and nobody says so; a request that the server could
answer is refused whenever it comes again, or for a reason that is none; texts of one client change the limits of all;
an instruction is taken and not followed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from crossrank import Reranker
from crossrank.serving.engine import Engine
from tests.model.reference import assert_same_scores
from tests.model.served import QUERY, served, service_of

LONG = "the battery of this vacuum cleaner " * 40
SHORT = "the warranty"
HALF = "how long does it take to charge the battery? " * 20
"""A query over its limit."""

Bodies = Callable[[str, list[str]], Any]
DIALECTS: dict[str, tuple[str, Bodies]] = {
    "tei": ("/rerank", lambda query, texts: {"query": query, "texts": texts}),
    "predict": ("/predict", lambda query, texts: {"inputs": [[query, text] for text in texts]}),
    "cohere": ("/v2/rerank", lambda query, texts: {"query": query, "documents": texts}),
    "voyage": ("/v1/rerank", lambda query, texts: {"query": query, "documents": texts, "top_k": 2}),
    "infinity": ("/rerank", lambda query, texts: {"query": query, "documents": texts, "raw_scores": False}),
    "mixedbread": ("/v1/reranking", lambda query, texts: {"query": query, "input": texts}),
    "vllm_score": ("/v1/score", lambda query, texts: {"text_1": query, "text_2": texts}),
    "pipeline": ("/invocations", lambda query, texts: {"inputs": [{"text": query, "text_pair": t} for t in texts]}),
    "text_pairs": ("/invocations", lambda query, texts: {"text_pairs": [[query, text] for text in texts]}),
}

everywhere = pytest.mark.parametrize("dialect", DIALECTS)


@pytest.fixture(scope="module")
def reranker(tiny: Callable[[str], Path]) -> Reranker:
    return Reranker.load(str(tiny("bert")), device="cpu", max_length=64)


@pytest.fixture(scope="module")
def client(reranker: Reranker) -> Iterator[TestClient]:
    with served(reranker) as client:
        yield client


@pytest.fixture(scope="module")
def prompted(tiny: Callable[[str], Path]) -> Path:
    return tiny("qwen3")


def num_tokens(reranker: Reranker, text: str) -> int:
    return len(reranker._scorer.encoder.tokenizer([text])[0])


# told in every dialect


@everywhere
def test_headers_name_the_documents_that_were_cut_and_their_tokens(
    client: TestClient, reranker: Reranker, dialect: str
) -> None:
    path, body = DIALECTS[dialect]
    answer = client.post(path, json=body(QUERY, [SHORT, LONG]))
    assert answer.status_code == 200, answer.text
    room = 64 - 3 - num_tokens(reranker, QUERY)
    assert answer.headers["x-truncated"] == f"1:{num_tokens(reranker, LONG) - room}"
    assert (answer.headers["x-truncated-documents"], answer.headers["x-truncated-query"]) == ("1", "0")


@everywhere
def test_headers_tell_what_was_cut_off_a_query_which_is_refused_unless_it_may_be(
    client: TestClient, reranker: Reranker, dialect: str
) -> None:
    path, body = DIALECTS[dialect]
    refusal = client.post(path, json=body(HALF, [SHORT]))
    assert refusal.status_code == 422
    assert "the query has " in refusal.text
    answer = client.post(path, json=body(HALF, [SHORT]) | {"truncate_query": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-truncated-query"] == str(num_tokens(reranker, HALF) - 32)
    assert "x-truncated" not in answer.headers


def test_instances_are_numbered_as_one_list(client: TestClient) -> None:
    body = {"instances": [{"query": QUERY, "texts": [SHORT, LONG]}, {"query": QUERY, "texts": [LONG]}]}
    headers = client.post("/invocations", json=body).headers
    assert [each.split(":")[0] for each in headers["x-truncated"].split(",")] == ["1", "2"]


def test_a_document_that_stands_there_twice_is_named_twice(client: TestClient) -> None:
    headers = client.post("/rerank", json={"query": QUERY, "texts": [LONG, SHORT, LONG]}).headers
    [one, two] = headers["x-truncated"].split(",")
    assert (one[:2], two[:2], one[2:]) == ("0:", "2:", two[2:])


# what a request is thought to cost


@pytest.fixture
def slow(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """A server whose model seems to read 1,000 tokens a second."""
    monkeypatch.setattr(Engine, "tokens_per_second", 1_000.0)
    return client


def test_a_query_of_twenty_thousand_characters_that_may_be_cut_is_answered(slow: TestClient) -> None:
    body = {"query": "charge " * 3_000, "documents": [f"{SHORT} {n}" for n in range(100)]}
    answer = slow.post("/v2/rerank", json=body | {"truncate_query": True})  # at most 100 * 64 tokens: 6.4 s of 30
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["x-truncated-query"]) > 2_900


def test_a_query_of_twenty_thousand_characters_that_may_not_be_cut_is_told_that_it_is_the_query(
    slow: TestClient,
) -> None:
    body = {"query": "charge " * 3_000, "documents": [f"{SHORT} {n}" for n in range(100)]}
    refusal = slow.post("/v2/rerank", json=body)
    assert refusal.status_code == 422
    assert refusal.json()["error"]["param"] == "query"
    assert "over its limit of 32; shorten it, or send truncate_query: true" in refusal.json()["message"]


def test_a_query_of_millions_of_characters_is_refused_when_enough_of_it_was_read(client: TestClient) -> None:
    refusal = client.post("/v2/rerank", json={"query": "charge " * 1_000_000, "documents": [SHORT]})
    assert refusal.status_code == 422
    [words] = [part for part in refusal.json()["message"].split(", ") if part.startswith("the query has")]
    assert words.endswith("tokens or more")
    assert int(words.split()[3]) < 60_000


def test_thousands_of_white_documents_change_nothing_for_others(client: TestClient) -> None:
    admission = service_of(client).admission
    for _ in range(20_000):  # each as one request of white space would have it
        admission.counted(100_000, 0)
    answer = client.post("/rerank", json={"query": QUERY, "texts": [SHORT, LONG]})
    assert answer.status_code == 200, answer.text
    assert client.post("/rerank", json={"query": QUERY, "texts": [" " * 100_000]}).status_code == 200
    assert admission.tokens_per_character >= 0.1


# instructions


def test_a_model_without_a_prompt_refuses_an_instruction_rather_than_not_to_follow_it(client: TestClient) -> None:
    for path, body in DIALECTS.values():
        refusal = client.post(path, json=body(QUERY, [SHORT]) | {"instruction": "find manuals"})
        assert refusal.status_code == 422
        assert "this model has no prompt, so an instruction has no place; leave instruction out" in refusal.text
        for nothing in (None, ""):
            assert client.post(path, json=body(QUERY, [SHORT]) | {"instruction": nothing}).status_code == 200


def test_a_model_with_a_prompt_follows_the_instruction_of_each_request(prompted: Path) -> None:
    words = "Find the page of a manual."
    texts = [SHORT, LONG, "charging takes four hours"]
    plain = Reranker.load(str(prompted), device="cpu", max_length=320)
    told = Reranker.load(str(prompted), device="cpu", max_length=320, instruction=words)
    with served(plain) as client:

        def logits(**more: str) -> list[float]:
            answer = client.post("/v1/score", json={"text_1": QUERY, "text_2": texts, "use_activation": False} | more)
            assert answer.status_code == 200, answer.text
            return [each["score"] for each in answer.json()["data"]]

        pairs = [(QUERY, text) for text in texts]
        assert_same_scores(logits(instruction=words), told.score(pairs))
        assert_same_scores(logits(), plain.score(pairs))
        assert abs(told.score(pairs) - plain.score(pairs)).max() > 1e-3


@pytest.mark.parametrize(
    ("num", "words"),
    [
        (4_001, "instruction has 4001 characters, over the limit of 4000; shorten it"),
        (2_000, "the window of 320 tokens has no room for a query and a document beside it; shorten it"),
    ],
)
def test_an_instruction_that_leaves_no_room_is_refused(prompted: Path, num: int, words: str) -> None:
    with served(Reranker.load(str(prompted), device="cpu", max_length=320)) as client:
        refusal = client.post(
            "/v2/rerank", json={"query": QUERY, "documents": [SHORT], "instruction": "x " * 1_000 + "x" * (num - 2_000)}
        )
    assert refusal.status_code == 422
    assert refusal.json()["message"].endswith(words)
