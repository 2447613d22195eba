"""A server as a row of the table: over real HTTP, in each dialect, and when it fails."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation import server_requests
from crossrank.evaluation.server_system import FAILURES_IN_A_ROW, ServerSpec, is_url

DOCUMENTS = ["one", "three", "fifteen"]
Answer = Callable[[str, dict[str, Any]], tuple[int, Any]]
"""From path and body to status and content."""


class Served:
    """A server on the loopback, with what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[tuple[str, dict[str, Any], str | None]] = []
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                served.asked.append((self.path, body, self.headers["authorization"]))
                status, content = answer(self.path, body)
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


Serve = Callable[[Answer], Served]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts servers; pauses between tries are short."""
    monkeypatch.setattr(server_requests, "FIRST_PAUSE_S", 0.001)
    started: list[Served] = []

    def serve(answer: Answer) -> Served:
        started.append(Served(answer))
        return started[-1]

    yield serve
    for each in started:
        each.close()


def tei(_: str, body: dict[str, Any]) -> tuple[int, Any]:
    """The length of a text is its score; best first, as TEI answers."""
    rows = [{"index": index, "score": float(len(text))} for index, text in enumerate(body["texts"])]
    return 200, sorted(rows, key=lambda row: -row["score"])


def cohere(_: str, body: dict[str, Any]) -> tuple[int, Any]:
    rows = [{"index": index, "relevance_score": len(text) / 100} for index, text in enumerate(body["documents"])]
    return 200, {"id": "x", "results": rows[::-1]}


def scores_of(spec: ServerSpec, queries: int = 1) -> list[float]:
    """The scores of all documents for each query."""
    scorer = spec.load(None)
    texts = scorer.encoder.documents(DOCUMENTS)
    query_P = np.repeat(np.arange(queries), len(DOCUMENTS))
    document_P = np.tile(np.arange(len(DOCUMENTS)), queries)
    found = scorer.score_encoded(scorer.encoder.queries(["a query"] * queries), texts, query_P, document_P)
    return found.logits_P.tolist()


def test_our_server_and_tei_are_asked_for_raw_scores_and_answered_in_any_order(serve: Serve) -> None:
    served = serve(tei)
    for url in (served.url, served.url + "/", served.url + "/rerank"):
        assert scores_of(ServerSpec("m", url)) == [3, 5, 7]
    path, body, key = served.asked[0]
    assert path == "/rerank"
    assert body == {"query": "a query", "texts": DOCUMENTS, "raw_scores": True, "truncate": True}
    assert key is None


def test_cohere_is_asked_with_its_model_and_its_key(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(cohere)
    monkeypatch.setenv("CROSSRANK_KEY_COHERE_V3", "secret")
    spec = ServerSpec.of("cohere v3", f"{served.url}/v2/rerank#rerank-v3.5", 60.0)
    monkeypatch.delenv("CROSSRANK_KEY_COHERE_V3")
    assert scores_of(spec) == pytest.approx([0.03, 0.05, 0.07])
    path, body, key = served.asked[0]
    assert path == "/v2/rerank"
    assert body == {"query": "a query", "documents": DOCUMENTS, "top_n": 3, "model": "rerank-v3.5"}
    assert key == "Bearer secret"
    assert "secret" not in repr(spec)


def test_a_key_that_a_server_repeats_is_not_told_on(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_KEY", "hunter2222222222")

    def repeating(status: int) -> Any:
        return lambda path, body: (status, {"error": "no key: Bearer hunter2222222222"})

    for status in (401, 200):
        served = serve(repeating(status))
        with pytest.raises(InputError) as refused:
            ServerSpec.of("m", served.url, 1.0).check()
        assert "no key: Bearer ***" in str(refused.value)
        assert "hunter" not in str(refused.value)


def test_a_key_of_its_own_comes_before_the_one_for_all_and_an_empty_one_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ServerSpec.of("base", "http://h", 1.0).key is None
    monkeypatch.setenv("CROSSRANK_KEY", "for all")
    monkeypatch.setenv("CROSSRANK_KEY_BASE", "")
    assert ServerSpec.of("base", "http://h", 1.0).key == "for all"
    monkeypatch.setenv("CROSSRANK_KEY_BASE", "own")
    assert ServerSpec.of("base", "http://h", 1.0).key == "own"


def test_a_server_that_times_out_in_the_middle_leaves_that_query_alone_without_scores(serve: Serve) -> None:
    calls = 0

    def sometimes(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal calls
        calls += 1
        time.sleep(0.6 if calls == 2 else 0)
        return tei(path, body)

    found = scores_of(ServerSpec("m", serve(sometimes).url, timeout_s=0.3), queries=3)
    assert found[:3] == found[6:] == [3, 5, 7]
    assert np.isnan(found[3:6]).all()


def test_what_a_server_is_asked_like_is_told_by_its_path() -> None:
    for url in ("http://h", "http://h/", "http://h:80/rerank", "http://h/rerank/#model"):
        assert ServerSpec("m", url).speaks_tei
        assert not ServerSpec("m", url).gives_probabilities
    for url in ("https://api.cohere.com/v2/rerank#rerank-v3.5", "http://h/v1/rerank"):
        assert not ServerSpec("m", url).speaks_tei
        assert ServerSpec("m", url).gives_probabilities


def test_a_server_that_takes_few_documents_gets_few(serve: Serve) -> None:
    def few(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        return tei(path, body) if len(body["texts"]) <= 1 else (413, {"error": "batch size 3 > maximum 1"})

    assert scores_of(ServerSpec("m", serve(few).url)) == [3, 5, 7]


def test_a_server_that_is_busy_is_asked_again(serve: Serve) -> None:
    statuses = iter([429, 503, 200])

    def busy(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status = next(statuses)
        return tei(path, body) if status == 200 else (status, {"error": "busy"})

    assert scores_of(ServerSpec("m", serve(busy).url)) == [3, 5, 7]


def test_a_query_without_an_answer_has_no_scores_and_the_others_have_theirs(serve: Serve) -> None:
    calls = 0

    def sometimes(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        nonlocal calls
        calls += 1
        return (404, {"error": "no"}) if calls == 2 else tei(path, body)

    found = scores_of(ServerSpec("m", serve(sometimes).url), queries=3)
    assert found[:3] == found[6:] == [3, 5, 7]
    assert np.isnan(found[3:6]).all()


def test_a_server_that_stops_answering_is_not_waited_for_again_and_again(serve: Serve) -> None:
    def slow(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.5)
        return tei(path, body)

    served = serve(slow)
    assert np.isnan(scores_of(ServerSpec("m", served.url, timeout_s=0.05), queries=6)).all()
    assert len(served.asked) == FAILURES_IN_A_ROW


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([{"index": 0, "score": 1.0}], "gave scores for 1 of 3 documents"),
        ([{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}, {"index": 1, "score": 1.0}], "for 2 of 3 documents"),
        ({"hello": "world"}, "answered what is no reranking"),
        (b"<html>", "answered what is no reranking"),
        ([{"index": 0}], "answered what is no reranking"),
    ],
)
def test_an_answer_that_is_none_is_no_score(
    serve: Serve, content: Any, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve(lambda *_: (200, content))
    assert np.isnan(scores_of(ServerSpec("m", served.url))).all()
    assert told in capsys.readouterr().err


def test_a_server_that_cannot_be_reached_or_refuses_the_key_is_named_before_any_work(serve: Serve) -> None:
    spec = ServerSpec("base", "http://127.0.0.1:9")
    with pytest.raises(
        InputError, match=r"base=http://127\.0\.0\.1:9 gave no answer \(connection error\); check the URL"
    ):
        spec.check()
    served = serve(lambda *_: (401, {"error": "no key"}))
    with pytest.raises(InputError, match=r"answered 401: .*no key.*; check the URL, and the key in CROSSRANK_KEY"):
        ServerSpec("base", served.url).check()
    ServerSpec("base", serve(tei).url).check()


def test_urls_are_told_from_models() -> None:
    assert is_url("http://127.0.0.1:8000")
    assert is_url("https://api.cohere.com/v2/rerank#rerank-v3.5")
    assert not is_url("BAAI/bge-reranker-v2-m3")
    assert not is_url("s3://bucket/model")
    assert not is_url("./http")
