import pytest

from crossrank.serving.errors import Empty, Invalid
from crossrank.serving.request import Cutting
from tests.unit.serving.dialects.asked import HALF, HIGH, LOW, answer, asked, refused, shown, wanted

RERANK = {"query": "q", "texts": ["a", "b", "c"]}


def test_texts_come_back_as_a_bare_array_of_index_and_probability_best_first() -> None:
    assert shown("/rerank", RERANK, answer(LOW, HIGH, HALF)) == [
        {"index": 1, "score": 1.0},
        {"index": 2, "score": 0.5},
        {"index": 0, "score": 0.0},
    ]


def test_raw_scores_are_logits_and_return_text_gives_the_text_back() -> None:
    body = RERANK | {"raw_scores": True, "return_text": True}
    assert shown("/rerank", body, answer(-2.5, 3.0, 0.5)) == [
        {"index": 1, "text": "b", "score": 3.0},
        {"index": 2, "text": "c", "score": 0.5},
        {"index": 0, "text": "a", "score": -2.5},
    ]


def test_equal_scores_come_in_ascending_index() -> None:
    assert [result["index"] for result in shown("/rerank", RERANK, answer(1.0, 2.0, 1.0))] == [1, 0, 2]


def test_probabilities_that_round_to_one_are_ordered_by_their_logits() -> None:
    assert shown("/rerank", RERANK, answer(800.0, 900.0, 850.0)) == [
        {"index": 1, "score": 1.0},
        {"index": 2, "score": 1.0},
        {"index": 0, "score": 1.0},
    ]


def test_the_body_of_the_rerankers_client_is_understood_though_it_names_a_model_of_its_own() -> None:
    body = RERANK | {"model": "theirs", "top_n": 3, "return_text": True}
    found = wanted("/rerank", body)
    assert (found.dialect, found.model, found.score_request.queries, found.score_request.documents) == (
        "tei",
        None,
        ("q",),
        ("a", "b", "c"),
    )


def test_a_top_n_is_honoured_and_none_keeps_every_text() -> None:
    assert shown("/rerank", RERANK | {"top_n": 1}, answer(1.0, 2.0, 3.0)) == [
        {"index": 2, "score": pytest.approx(0.9526, abs=1e-4)}
    ]
    for none in ({}, {"top_n": None}, {"top_n": 0}):
        assert len(shown("/rerank", RERANK | none, answer(1.0, 2.0, 3.0))) == 3


def test_the_body_of_haystack_cuts_from_the_left_and_never_the_query() -> None:
    body = RERANK | {"raw_scores": False, "truncate": True, "truncation_direction": "Left"}
    assert asked("/rerank", body).cutting == Cutting(documents=True, query=False, side="left")


@pytest.mark.parametrize(("truncate", "cut"), [(None, True), (True, True), (False, False)])
def test_a_text_that_does_not_fit_is_cut_unless_truncate_is_false(truncate: bool | None, cut: bool) -> None:
    assert asked("/rerank", RERANK | {"truncate": truncate}).cutting.documents is cut
    assert asked("/predict", {"inputs": ["q", "a"], "truncate": truncate}).cutting.documents is cut


def test_null_is_taken_for_every_optional_field() -> None:
    nulls = dict.fromkeys(
        ["truncate", "truncation_direction", "raw_scores", "return_text", "top_n", "model", "timeout_ms"]
    )
    assert asked("/rerank", RERANK | nulls) == asked("/rerank", RERANK)


def test_no_texts_are_the_fault_named_empty() -> None:
    fault = refused("/rerank", {"query": "q", "texts": []})
    assert isinstance(fault, Empty)
    assert str(fault) == "texts is empty, and at least one text is wanted"


def test_an_empty_text_is_scored_and_an_empty_query_is_refused() -> None:
    assert asked("/rerank", {"query": "q", "texts": [""]}).documents == ("",)
    assert (
        str(refused("/rerank", {"query": "", "texts": ["a"]}))
        == "query is empty, and a query of at least one character is wanted"
    )


def test_more_texts_than_a_client_batch_may_have_are_refused_where_the_server_has_that_cap() -> None:
    assert len(asked("/rerank", {"query": "q", "texts": ["a"] * 33}).documents) == 33
    fault = refused("/rerank", {"query": "q", "texts": ["a"] * 33}, max_client_batch_size=32)
    assert isinstance(fault, Invalid)
    assert str(fault) == "batch size 33 > maximum allowed batch size 32; send smaller batches"
    assert "batch size 2 > maximum" in str(refused("/predict", {"inputs": [["a", "b"]] * 2}, max_client_batch_size=1))
    assert asked("/rerank", {"query": "q", "documents": ["a"] * 33}, max_client_batch_size=32)


def test_more_texts_than_the_server_takes_are_refused_with_both_numbers() -> None:
    fault = refused("/rerank", {"query": "q", "texts": ["a"] * 10_001})
    assert str(fault) == "texts has 10001 texts, over the limit of 10000; send them in several requests"
    assert fault.parameter == "texts"


def test_a_flat_list_of_two_texts_is_one_pair_on_predict() -> None:
    body = {"inputs": ["a", "b"]}
    ask = asked("/predict", body)
    assert (ask.queries, ask.documents) == (("a",), ("b",))
    assert shown("/predict", body, answer(HIGH)) == [{"score": 1.0, "label": "LABEL_0"}]


def test_a_batch_of_pairs_is_scored_in_its_order() -> None:
    body = {"inputs": [["q1", "a"], ["q2", "b"]], "raw_scores": True}
    ask = asked("/predict", body)
    assert (ask.queries, ask.documents) == (("q1", "q2"), ("a", "b"))
    assert shown("/predict", body, answer(-1.0, 2.0)) == [
        [{"score": -1.0, "label": "LABEL_0"}],
        [{"score": 2.0, "label": "LABEL_0"}],
    ]


def test_a_batch_of_one_pair_stays_a_batch() -> None:
    assert shown("/predict", {"inputs": [["a", "b"]]}, answer(HIGH)) == [[{"score": 1.0, "label": "LABEL_0"}]]


def test_a_query_that_all_pairs_share_is_read_once() -> None:
    assert asked("/predict", {"inputs": [["q", "a"], ["q", "b"]]}).queries == ("q",)


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ("a", "inputs"),
        (["a"], "inputs[0]"),
        (["a", "b", "c"], "inputs[0]"),
        ([["a", "b"], ["t"]], "inputs[1]"),
        ([["a", "b"], "t"], "inputs[1]"),
    ],
)
def test_a_single_text_is_refused_since_a_reranker_needs_pairs(inputs: object, name: str) -> None:
    fault = refused("/predict", {"inputs": inputs})
    assert str(fault) == f"{name} is a single text, and a reranker needs pairs; send [[query, text], ...]"
    assert fault.parameter == name


def test_three_texts_in_a_pair_and_an_empty_query_are_refused_by_their_place() -> None:
    assert str(refused("/predict", {"inputs": [["a", "b", "c"]]})).startswith("inputs[0] has 3 texts, and a pair")
    assert str(refused("/predict", {"inputs": [["a", "b"], ["", "b"]]})).startswith("inputs[1][0] is empty")
    assert isinstance(refused("/predict", {"inputs": []}), Empty)


def test_the_root_takes_what_rerank_and_predict_take() -> None:
    assert wanted("/", RERANK).dialect == "tei"
    assert shown("/", {"inputs": ["a", "b"]}, answer(HALF)) == [{"score": 0.5, "label": "LABEL_0"}]
    assert "needs pairs" in str(refused("/", {"inputs": "great film", "parameters": {"top_k": 1}}))
