"""Servers that refuse what is too much, too long or blank, each as its source or its documentation has it.

All over real HTTP. A text's score is the number of its letters, so a text that was cut shows in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from crossrank.errors import InputError
from crossrank.evaluation import server_requests
from crossrank.evaluation.server_fit import is_blank
from crossrank.evaluation.server_system import FAILURES_IN_A_ROW, ServerSpec
from crossrank.scoring.interfaces import Scored
from tests.unit.evaluation.test_server_system import Answer, Serve, Served, cohere, tei

LONGEST = 200
"""Characters of a text that the servers here take."""
LONG = "word " * 100
"""500 characters, of which 125 are left when halved twice."""


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setattr(server_requests, "FIRST_PAUSE_S", 0.001)
    started: list[Served] = []

    def serve(answer: Answer) -> Served:
        started.append(Served(answer))
        return started[-1]

    yield serve
    for each in started:
        each.close()


def scored(spec: ServerSpec, documents: list[str], queries: tuple[str, ...] = ("a query",)) -> Scored:
    """All documents for each query."""
    scorer = spec.load(None)
    query_P = np.repeat(np.arange(len(queries)), len(documents))
    document_P = np.tile(np.arange(len(documents)), len(queries))
    texts = scorer.encoder.documents(documents)
    return scorer.score_encoded(scorer.encoder.queries(list(queries)), texts, query_P, document_P)


def texts_of(body: dict[str, Any]) -> list[str]:
    found: list[str] = body.get("texts") or body["documents"]
    return found


def is_too_long(body: dict[str, Any]) -> bool:
    return any(len(text) > LONGEST for text in [body["query"], *texts_of(body)])


# too many


@pytest.mark.parametrize("status", [413, 422])
def test_tei_takes_32_texts_and_says_so_by_422_and_before_version_1_9_by_413(serve: Serve, status: int) -> None:
    def takes_32(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if (count := len(body["texts"])) > 32:
            error = f"batch size {count} > maximum allowed batch size 32"
            return status, {"error": error, "error_type": "Validation"}
        return tei(path, body)

    served = serve(takes_32)
    documents = ["x" * (1 + number) for number in range(100)]
    found = scored(ServerSpec("m", served.url), documents, ("one", "two", "three"))
    assert found.logits_P.tolist() == [len(text) for text in documents] * 3
    assert not found.truncated_P.any(), "they were too many, and none was too long"
    sizes = [len(body["texts"]) for _, body, _ in served.asked]
    assert sizes[:4] == [100, 50, 25, 25]
    assert set(sizes[4:]) == {25}, "the server is not asked for more than it takes a second time"


def test_cohere_says_by_400_that_they_are_too_many(serve: Serve) -> None:
    def takes_2(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if len(body["documents"]) > 2:
            return 400, {"id": "x", "message": "too many documents: 5; maximum is 2"}
        return cohere(path, body)

    found = scored(ServerSpec("m", f"{serve(takes_2).url}/v2/rerank#m"), ["a", "bb", "ccc", "dddd", "eeeee"])
    assert found.logits_P.tolist() == pytest.approx([0.01, 0.02, 0.03, 0.04, 0.05])


# too long


def refusing(status: int, content: Any, answered: Answer) -> Answer:
    """A server that refuses a request with any text that is too long, whole."""
    return lambda path, body: (status, content) if is_too_long(body) else answered(path, body)


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, {"error": {"message": "This model's maximum context length is 512 tokens.", "code": 400}}),  # vLLM
        (400, {"detail": "[documents[2]] exceeds the limit of 2048 characters"}),  # Jina
        (422, {"detail": [{"type": "string_too_long", "loc": ["body", "documents", 2]}]}),  # infinity
        (413, b"Failed to buffer the request body: length limit exceeded"),  # the body, of TEI
        (500, {"error": {"message": "input is too large to process. increase the physical batch size"}}),  # llama.cpp
    ],
)
def test_the_one_text_that_is_too_long_is_found_cut_and_counted_and_the_others_are_whole(
    serve: Serve, status: int, content: Any
) -> None:
    served = serve(refusing(status, content, cohere))
    documents = ["a", "bb", LONG, "dddd", "eeeee"]
    found = scored(ServerSpec("m", f"{served.url}/v1/rerank#m"), documents)
    [cut] = {len(text) for _, body, _ in served.asked for text in texts_of(body) if 100 < len(text) <= LONGEST}
    expected = [0.01, 0.02, cut / 100, 0.04, 0.05]
    assert found.logits_P.tolist() == pytest.approx(expected), "each at its own place"
    assert (found.truncated_P > 0).tolist() == [False, False, True, False, False]
    assert 60 <= found.truncated_P[2] <= 80, "words of a hundred"
    # What was refused for one text is not taken for a limit of how many.
    before = len(served.asked)
    scored(ServerSpec("m", f"{served.url}/v1/rerank#m"), ["a", "bb", "ccc"])
    assert len(served.asked) == before + 1


def test_after_a_long_text_as_many_documents_are_asked_for_as_before(serve: Serve) -> None:
    served = serve(refusing(422, {"error": "too long", "error_type": "Validation"}, tei))
    scorer = ServerSpec("m", served.url).load(None)

    def ask(documents: list[str]) -> None:
        texts, places = scorer.encoder.documents(documents), np.arange(len(documents))
        scorer.score_encoded(scorer.encoder.queries(["q"]), texts, np.zeros_like(places), places)

    ask(["a", "bb", LONG, "dddd"])
    before = len(served.asked)
    ask(["a", "bb", "ccc", "dddd"])
    assert [len(body["texts"]) for _, body, _ in served.asked[before:]] == [4]


def test_a_query_that_is_too_long_is_cut_once_for_all_its_documents(serve: Serve) -> None:
    served = serve(refusing(400, {"message": "query too long"}, tei))
    found = scored(ServerSpec("m", served.url), ["a", "bb", "ccc"], (LONG,))
    assert found.logits_P.tolist() == [1, 2, 3]
    assert (found.truncated_P > 0).all()
    answered = {body["query"] for _, body, _ in served.asked if not is_too_long(body)}
    assert len(answered) == 1, "scores of one query are of one text"


def test_a_request_that_is_refused_whatever_its_size_leaves_the_query_without_scores(
    serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    served = serve(lambda *_: (400, {"message": "this content is not allowed"}))
    found = scored(ServerSpec("m", served.url), ["a", LONG], ("q", "r", "s", "t"))
    assert np.isnan(found.logits_P).all()
    told = capsys.readouterr().err
    assert told.count("answered 400: ") == FAILURES_IN_A_ROW
    assert "this content is not allowed" in told
    assert len(served.asked) < 40


# blanks


def test_blank_documents_are_not_sent_and_stand_below_all_others_at_their_own_places(serve: Serve) -> None:
    def renumbers(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Leaves blank ones out and numbers the rest anew, so that scores would shift."""
        return tei(path, body | {"texts": [text for text in body["texts"] if text.strip()]})

    served = serve(renumbers)
    documents = ["\u200b", "bb", " \t", "dddd", ""]
    found = scored(ServerSpec("m", served.url), documents).logits_P
    assert (found[1], found[3]) == (2, 4), "and not shifted by what was left out"
    assert (found[[0, 2, 4]] < 2).all()
    assert np.isfinite(found).all(), "or the query would lose its ranking"
    assert served.asked[0][1]["texts"] == ["bb", "dddd"]


def test_a_server_that_refuses_blanks_refuses_nothing(serve: Serve) -> None:
    def strict(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if not all(text.strip() for text in body["documents"]):
            return 400, {"message": "invalid request: all documents must be non-empty"}
        return cohere(path, body)

    served = serve(strict)
    found = scored(ServerSpec("m", f"{served.url}/v2/rerank#m"), ["a", " ", "ccc"]).logits_P
    assert (found[0], found[2]) == (np.float32(0.01), np.float32(0.03))
    assert found[1] < found[0]
    assert len(served.asked) == 1


def test_a_query_with_blank_documents_alone_is_answered_without_asking(serve: Serve) -> None:
    served = serve(tei)
    assert scored(ServerSpec("m", served.url), ["", "\ufeff"]).logits_P.tolist() == [0, 0]
    assert served.asked == []


def test_a_sign_or_a_letter_is_something_to_see() -> None:
    assert not any(map(is_blank, ["?", "가", "1", " a "]))
    assert all(map(is_blank, ["", " \n", "\u200b\u200d\ufeff", "\u3000"]))


# dialects


def test_infinity_is_asked_in_its_own_dialect_though_its_path_is_that_of_tei(serve: Serve) -> None:
    def infinity(path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if "documents" not in body:
            return 422, {"detail": [{"type": "missing", "loc": ["body", "documents"], "msg": "Field required"}]}
        return cohere(path, body)

    served = serve(infinity)
    spec = ServerSpec("m", f"{served.url}/rerank#bge").check()
    assert spec.gives_probabilities
    assert scored(spec, ["a", "bb"]).logits_P.tolist() == pytest.approx([0.01, 0.02])
    assert served.asked[-1][0] == "/rerank"
    assert served.asked[-1][1]["model"] == "bge"
    assert not ServerSpec("m", serve(tei).url).check().gives_probabilities, "ours and TEI give logits"


def test_a_server_that_refuses_either_dialect_is_told_on_by_its_first_answer(serve: Serve) -> None:
    served = serve(lambda path, body: (422, {"detail": "texts" if "texts" in body else "documents"}))
    with pytest.raises(InputError, match=r'm=.* answered 422: .*"texts".*; check the URL, and the key'):
        ServerSpec("m", served.url).check()
