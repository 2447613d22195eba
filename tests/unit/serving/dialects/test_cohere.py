from typing import Any

import pytest

from crossrank.serving.errors import Empty
from crossrank.serving.request import Cutting
from tests.unit.serving.dialects.asked import HALF, HIGH, LOW, answer, asked, refused, shown, wanted

BODY: dict[str, Any] = {"query": "q", "documents": ["a", "b", "c"]}


def test_version_2_of_cohere_gets_scores_meta_and_no_documents() -> None:
    assert shown("/v2/rerank", BODY | {"model": "m"}, answer(LOW, HIGH, HALF)) == {
        "id": "rr-1",
        "object": "rerank",
        "created": 1700000000,
        "model": "m",
        "results": [
            {"index": 1, "relevance_score": 1.0},
            {"index": 2, "relevance_score": 0.5},
            {"index": 0, "relevance_score": 0.0},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}, "tokens": {"input_tokens": 15}},
    }


def test_version_1_of_cohere_and_jina_get_documents_as_objects() -> None:
    assert shown("/v1/rerank", BODY, answer(LOW, HIGH, HALF)) == {
        "id": "rr-1",
        "object": "rerank",
        "created": 1700000000,
        "model": "m",
        "results": [
            {"index": 1, "relevance_score": 1.0, "document": {"text": "b"}},
            {"index": 2, "relevance_score": 0.5, "document": {"text": "c"}},
            {"index": 0, "relevance_score": 0.0, "document": {"text": "a"}},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
        "meta": {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}, "tokens": {"input_tokens": 15}},
    }


@pytest.mark.parametrize(
    ("path", "by_default"),
    [
        ("/rerank", True),
        ("/v1/rerank", True),
        ("/v1/reranking", True),
        ("/reranking", True),
        ("/invocations", True),
        ("/v2/rerank", False),
    ],
)
def test_documents_come_back_by_the_default_of_the_path_unless_the_body_says(path: str, by_default: bool) -> None:
    def has_document(body: dict[str, Any]) -> bool:
        return "document" in shown(path, body, answer(1.0, 2.0, 3.0))["results"][0]

    assert has_document(BODY) is by_default
    assert has_document(BODY | {"return_documents": None}) is by_default
    assert has_document(BODY | {"return_documents": True})
    assert not has_document(BODY | {"return_documents": False})


def test_every_100_documents_are_a_search_unit() -> None:
    body = {"query": "q", "documents": ["a"] * 101}
    assert shown("/v2/rerank", body, answer(*[0.0] * 101))["meta"]["billed_units"] == {"search_units": 2}


def test_what_was_cut_is_a_warning_that_cohere_shows() -> None:
    found = shown("/v2/rerank", BODY, answer(1.0, 2.0, 3.0, cut=[0, 4, 2], query_cut=3))
    assert found["meta"]["warnings"] == ["2 of 3 documents were cut", "the query was cut by 3 tokens"]


def test_the_nulls_of_langchain_cohere_mean_what_leaving_out_means() -> None:
    nulls = dict.fromkeys(["top_n", "max_tokens_per_doc", "model", "rank_fields", "return_documents", "priority"])
    assert asked("/v2/rerank", BODY | nulls) == asked("/v2/rerank", BODY)
    assert wanted("/v2/rerank", BODY | {"model": "x"}).model == "x"
    assert wanted("/v2/rerank", BODY).model is None


@pytest.mark.parametrize(("top_n", "num"), [(None, 3), (0, 3), (2, 2), (7, 3)])
def test_a_top_n_of_null_or_0_keeps_all(top_n: int | None, num: int) -> None:
    assert len(shown("/rerank", BODY | {"top_n": top_n}, answer(1.0, 2.0, 3.0))["results"]) == num


def test_a_min_score_drops_what_is_below_it_on_the_scale_that_is_shown() -> None:
    def kept(body: dict[str, Any]) -> list[int]:
        return [result["index"] for result in shown("/rerank", BODY | body, answer(HIGH, HALF, LOW))["results"]]

    assert kept({"min_score": 0.5}) == [0, 1]
    assert kept({"min_score": 0.5, "score_type": "logit"}) == [0]
    assert kept({"min_score": 2}) == []


@pytest.mark.parametrize(
    ("fields", "score"),
    [
        ({}, 0.5),
        ({"score_type": "logit"}, 0.0),
        ({"use_activation": False}, 0.0),
        ({"use_activation": True}, 0.5),
        ({"use_activation": None}, 0.5),
        ({"use_activation": False, "score_type": "probability"}, 0.5),
    ],
)
def test_a_score_is_a_probability_unless_a_logit_is_asked_for(fields: dict[str, Any], score: float) -> None:
    found = shown("/rerank", {"query": "q", "documents": "a"} | fields, answer(HALF))
    assert found["results"][0]["relevance_score"] == score


def test_documents_with_ids_get_them_back_and_their_titles_are_read_first() -> None:
    body = {"query": "q", "documents": [{"id": "x", "text": "a", "title": "T"}, {"id": 7, "text": "b"}, "c"]}
    assert asked("/rerank", body).documents == ("T a", "b", "c")
    assert shown("/rerank", body, answer(3.0, 2.0, 1.0))["results"][0] | {"relevance_score": 1} == {
        "index": 0,
        "relevance_score": 1,
        "id": "x",
        "document": {"text": "T a"},
    }
    assert [result.get("id") for result in shown("/rerank", body, answer(3.0, 2.0, 1.0))["results"]] == ["x", 7, None]


def test_rank_fields_are_joined_in_their_order_and_texts_stay_as_they_are() -> None:
    documents = [{"body": "b", "title": "t", "year": 7}, {"title": "only"}, "plain"]
    body = {"query": "q", "documents": documents, "rank_fields": ["title", "body"]}
    assert asked("/v1/rerank", body).documents == ("t b", "only", "plain")


def test_an_object_without_a_text_to_read_is_refused_by_its_place() -> None:
    assert str(refused("/rerank", {"query": "q", "documents": ["a", {"id": "x"}]})) == (
        "documents[1] has no text; send one, or name the fields to be read in rank_fields"
    )
    fields = {"query": "q", "documents": [{"text": "a", "n": 7, "s": "\ud800"}]}
    assert "has none of the fields" in str(refused("/rerank", fields | {"rank_fields": ["title"]}))
    assert str(refused("/rerank", fields | {"rank_fields": ["n"]})) == "documents[0].n is 7, and a text is wanted"
    assert "documents[0].s holds half a surrogate" in str(refused("/rerank", fields | {"rank_fields": ["s"]}))


def test_every_option_reaches_the_ask() -> None:
    ask = asked(
        "/rerank",
        BODY
        | {"max_tokens_per_doc": 40, "max_tokens_per_query": 20, "truncation": False, "truncation_side": "left"}
        | {"truncate_query": True, "long_document": "chunk_max", "max_chunks_per_doc": 3, "priority": 9}
        | {"timeout_ms": 1500, "instruction": "find manuals"},
    )
    assert ask.cutting == Cutting(
        documents=False,
        query=True,
        side="left",
        max_tokens_per_document=40,
        max_tokens_per_query=20,
        long_document="chunk_max",
        max_chunks_per_document=3,
    )
    assert (ask.priority, ask.timeout_s, ask.instruction) == (9, 1.5, "find manuals")


def test_the_zeros_of_vllm_are_no_limits() -> None:
    assert (
        asked("/rerank", BODY | {"max_tokens_per_doc": 0, "max_tokens_per_query": 0, "top_n": 0}).cutting == Cutting()
    )


def test_a_number_of_chunks_means_scoring_by_chunks_unless_the_body_says_otherwise() -> None:
    assert asked("/v1/rerank", BODY | {"max_chunks_per_doc": 10}).cutting.long_document == "chunk_max"
    body = BODY | {"max_chunks_per_doc": 10, "long_document": "truncate"}
    assert asked("/v1/rerank", body).cutting.long_document == "truncate"


def test_diagnostics_tell_what_each_score_cost_and_what_was_cut() -> None:
    given = answer(LOW, HALF, LOW, cut=[1, 2, 0], query_cut=7)
    found = shown("/v2/rerank", BODY | {"include": ["diagnostics"], "top_n": 1}, given)
    assert found["results"] == [
        {
            "index": 1,
            "relevance_score": 0.5,
            "logit": 0.0,
            "tokens": 5,
            "truncated": True,
            "truncated_tokens": 2,
            "chunks": 1,
        }
    ]
    told = ("model_revision", "score_type", "timing_ms", "truncated_documents", "query_truncated_tokens")
    assert {key: found[key] for key in told} == {
        "model_revision": "abc",
        "score_type": "probability",
        "timing_ms": {"tokenization": 1.0, "queue": 2.0, "inference": 3.5, "total": 6.5},
        "truncated_documents": 2,
        "query_truncated_tokens": 7,
    }


def test_an_empty_list_is_empty_and_an_empty_document_is_scored() -> None:
    assert isinstance(refused("/v2/rerank", {"query": "q", "documents": []}), Empty)
    assert asked("/v2/rerank", {"query": "q", "documents": [""]}).documents == ("",)


def test_voyage_reads_its_results_under_data_with_documents_as_texts() -> None:
    body = BODY | {"top_k": 2, "return_documents": True, "truncation": True, "model": "m"}
    found = shown("/v1/rerank", body, answer(LOW, HIGH, HALF))
    assert found == {
        "id": "rr-1",
        "object": "list",
        "created": 1700000000,
        "model": "m",
        "results": [
            {"index": 1, "relevance_score": 1.0, "document": {"text": "b"}},
            {"index": 2, "relevance_score": 0.5, "document": {"text": "c"}},
        ],
        "data": [
            {"index": 1, "relevance_score": 1.0, "document": "b"},
            {"index": 2, "relevance_score": 0.5, "document": "c"},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
    }


def test_the_null_of_voyages_own_client_keeps_all_and_documents_are_left_out_by_default() -> None:
    found = shown("/rerank", BODY | {"top_k": None}, answer(1.0, 2.0, 3.0))
    assert [sorted(result) for result in found["data"]] == [["index", "relevance_score"]] * 3


def test_a_top_k_beside_a_top_n_is_ignored() -> None:
    body = BODY | {"top_k": 1, "top_n": 2}
    assert wanted("/v1/rerank", body).dialect == "cohere_v1"
    assert len(shown("/v1/rerank", body, answer(1.0, 2.0, 3.0))["results"]) == 2
