from typing import Any

from crossrank.serving.errors import Empty
from tests.unit.serving.dialects.asked import HALF, HIGH, LOW, answer, asked, refused, shown, wanted

BODY: dict[str, Any] = {"query": "q", "documents": ["a", "b"], "raw_scores": False, "return_documents": False}


def test_infinity_gets_its_exact_keys_and_no_document_unless_asked() -> None:
    assert shown("/rerank", BODY | {"model": "default/not-specified"}, answer(LOW, HIGH)) == {
        "object": "rerank",
        "results": [{"relevance_score": 1.0, "index": 1}, {"relevance_score": 0.0, "index": 0}],
        "model": "m",
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
        "id": "rr-1",
        "created": 1700000000,
    }


def test_infinity_gets_documents_as_plain_texts() -> None:
    found = shown("/rerank", BODY | {"return_documents": True, "top_n": 1}, answer(LOW, HIGH))
    assert found["results"] == [{"relevance_score": 1.0, "index": 1, "document": "b"}]


def test_raw_scores_of_infinity_are_logits() -> None:
    found = shown("/rerank", BODY | {"raw_scores": True}, answer(-1.5, 2.5))
    assert [result["relevance_score"] for result in found["results"]] == [2.5, -1.5]


def test_a_raw_scores_of_null_is_not_infinity() -> None:
    assert wanted("/rerank", BODY).dialect == "infinity"
    assert wanted("/rerank", BODY | {"raw_scores": None}).dialect == "cohere"


def test_infinity_names_its_model_and_refuses_no_documents() -> None:
    assert wanted("/rerank", BODY | {"model": "x"}).model == "x"
    assert isinstance(refused("/rerank", BODY | {"documents": []}), Empty)


def test_mixedbread_reads_data_with_its_inputs() -> None:
    body = {"model": "m", "query": "q", "input": ["a", "b", "c"], "top_k": 2, "return_input": True}
    assert asked("/v1/reranking", body).documents == ("a", "b", "c")
    assert shown("/v1/reranking", body, answer(LOW, HIGH, HALF)) == {
        "id": "rr-1",
        "object": "list",
        "model": "m",
        "data": [
            {"index": 1, "score": 1.0, "object": "rank_result", "input": "b"},
            {"index": 2, "score": 0.5, "object": "rank_result", "input": "c"},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
        "top_k": 2,
        "return_input": True,
    }


def test_mixedbread_gets_no_inputs_unless_asked_and_fields_of_objects_by_name() -> None:
    body = {"query": "q", "input": [{"t": "a"}, {"t": "b"}], "rank_fields": ["t"]}
    assert asked("/v1/reranking", body).documents == ("a", "b")
    assert shown("/v1/reranking", body, answer(LOW, HALF))["data"] == [
        {"index": 1, "score": 0.5, "object": "rank_result"},
        {"index": 0, "score": 0.0, "object": "rank_result"},
    ]
