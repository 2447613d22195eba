from typing import Any

import pytest

from crossrank.serving.errors import Empty
from tests.unit.serving.dialects.asked import HALF, HIGH, LOW, answer, asked, refused, shown, wanted

PAIR = {"text": "q", "text_pair": "a"}
PAIRS = [PAIR, {"text": "q", "text_pair": "b"}]


def test_the_payload_of_the_ko_reranker_endpoint_gets_label_and_score_in_its_order() -> None:
    body = {"inputs": PAIRS}
    ask = asked("/invocations", body)
    assert (ask.queries, ask.documents) == (("q",), ("a", "b"))
    assert shown("/invocations", body, answer(LOW, HIGH)) == [
        {"label": "LABEL_0", "score": 0.0},
        {"label": "LABEL_0", "score": 1.0},
    ]


def test_one_pair_outside_of_a_list_gets_one_object() -> None:
    assert shown("/invocations", {"inputs": PAIR}, answer(HALF)) == {"label": "LABEL_0", "score": 0.5}
    assert shown("/predict", {"inputs": PAIR}, answer(HALF)) == {"label": "LABEL_0", "score": 0.5}


def test_a_top_k_puts_each_score_in_a_list_as_the_pipeline_does() -> None:
    for top_k in (1, None):
        body = {"inputs": PAIRS, "parameters": {"top_k": top_k}}
        assert shown("/invocations", body, answer(LOW, HIGH)) == [
            [{"label": "LABEL_0", "score": 0.0}],
            [{"label": "LABEL_0", "score": 1.0}],
        ]
    found = shown("/invocations", {"inputs": PAIR, "parameters": {"top_k": 1}}, answer(HALF))
    assert found == [{"label": "LABEL_0", "score": 0.5}]


def test_the_function_none_shows_logits_and_softmax_is_refused() -> None:
    body: dict[str, Any] = {"inputs": PAIR, "parameters": {"function_to_apply": "none"}}
    assert shown("/invocations", body, answer(-1.5)) == {"label": "LABEL_0", "score": -1.5}
    fault = refused("/invocations", {"inputs": PAIR, "parameters": {"function_to_apply": "softmax"}})
    assert "of which one label always gets 1" in str(fault)


@pytest.mark.parametrize(
    ("truncation", "cut"),
    [(None, True), (True, True), ("only_second", True), (False, False), ("do_not_truncate", False)],
)
def test_a_pair_is_cut_unless_its_parameters_forbid_it(truncation: object, cut: bool) -> None:
    body = {"inputs": PAIR, "parameters": {"truncation": truncation, "padding": True}}
    assert asked("/invocations", body).cutting.documents is cut


def test_a_text_without_its_pair_is_refused_by_its_place() -> None:
    assert str(refused("/invocations", {"inputs": [PAIR, {"text": "q"}]})) == (
        "inputs[1].text_pair is missing, and has to be there"
    )
    assert refused("/invocations", {"inputs": [PAIR, {"text": "", "text_pair": "a"}]}).parameter == "inputs[1].text"
    assert isinstance(refused("/invocations", {"inputs": []}), Empty)


def test_lists_of_texts_under_inputs_are_pairs_as_predict_has_them() -> None:
    found = wanted("/invocations", {"inputs": [["q", "a"]]})
    assert (found.dialect, found.score_request.documents) == ("tei", ("a",))


def test_langchain_gets_scores_in_the_order_of_its_text_pairs() -> None:
    body = {"text_pairs": [["q", "a"], ["p", "b"]]}
    ask = asked("/invocations", body)
    assert (ask.queries, ask.documents) == (("q", "p"), ("a", "b"))
    assert shown("/invocations", body, answer(HALF, HIGH)) == {"scores": [0.5, 1.0]}
    assert shown("/invocations", body | {"score_type": "logit"}, answer(1.5, -1.5)) == {"scores": [1.5, -1.5]}


def test_a_text_pair_of_one_or_three_texts_is_refused() -> None:
    assert str(refused("/invocations", {"text_pairs": [["q", "a"], ["q"]]})) == (
        "text_pairs[1] has 1 items, and 2 are wanted"
    )
    assert "has 3 items" in str(refused("/invocations", {"text_pairs": [["q", "a", "b"]]}))
    assert isinstance(refused("/invocations", {"text_pairs": []}), Empty)


def test_invocations_speak_every_dialect_by_the_shape_of_the_body() -> None:
    assert wanted("/invocations", {"query": "q", "texts": ["a"]}).dialect == "tei"
    assert wanted("/invocations", {"query": "q", "documents": ["a"]}).dialect == "cohere"
    assert wanted("/invocations", {"query": "q", "documents": ["a"], "raw_scores": True}).dialect == "infinity"
    assert wanted("/invocations", {"query": "q", "input": ["a"]}).dialect == "mixedbread"
    assert str(refused("/invocations", {})) == "inputs is missing, and has to be there"


def test_instances_are_scored_as_one_request_and_predicted_one_by_one() -> None:
    instances = [{"query": "q", "texts": ["a", "b"], "priority": 2}, {"inputs": [["p", "c"]], "timeout_ms": 500}, PAIR]
    ask = asked("/invocations", {"instances": instances})
    assert ask.queries == ("q", "q", "p", "q")
    assert ask.documents == ("a", "b", "c", "a")
    assert (ask.priority, ask.timeout_s) == (0, 0.5)
    assert shown("/invocations", {"instances": instances}, answer(LOW, HIGH, HALF, HIGH)) == {
        "predictions": [
            [{"index": 1, "score": 1.0}, {"index": 0, "score": 0.0}],
            [[{"score": 0.5, "label": "LABEL_0"}]],
            {"label": "LABEL_0", "score": 1.0},
        ]
    }


def test_instances_with_one_query_read_it_once() -> None:
    instances = [{"query": "q", "texts": ["a", "b"]}, {"query": "q", "texts": ["c"]}]
    assert asked("/invocations", {"instances": instances}).queries == ("q",)


def test_a_bad_instance_is_named_and_so_is_one_that_is_cut_otherwise() -> None:
    assert str(refused("/invocations", {"instances": [{"query": "q", "texts": ["a", 7]}]})) == (
        "instances[0]: texts[1] is 7, and a text is wanted"
    )
    one = {"query": "q", "texts": ["a"]}
    fault = refused("/invocations", {"instances": [one, one | {"truncate": False}]})
    assert str(fault) == "instances[1] is cut otherwise than instances[0]; send it in a request of its own"
    fault = refused("/invocations", {"instances": [one, one | {"instruction": "find manuals"}]})
    assert str(fault) == "instances[1] is instructed otherwise than instances[0]; send it in a request of its own"
    assert isinstance(refused("/invocations", {"instances": []}), Empty)
    two = [{"query": "q", "texts": ["a", "b"]}] * 2
    assert "instances has 4 texts, over the limit of 3" in str(
        refused("/invocations", {"instances": two}, max_documents=3)
    )
