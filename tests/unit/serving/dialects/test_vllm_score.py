from typing import Any

import pytest

from crossrank.serving.errors import Empty
from tests.unit.serving.dialects.asked import HALF, HIGH, LOW, answer, asked, refused, shown, wanted


def test_scores_come_in_the_order_of_the_pairs() -> None:
    body = {"model": "m", "text_1": "q", "text_2": ["a", "b", "c"]}
    assert shown("/v1/score", body, answer(LOW, HIGH, HALF)) == {
        "id": "rr-1",
        "object": "list",
        "created": 1700000000,
        "model": "m",
        "data": [
            {"index": 0, "object": "score", "score": 0.0},
            {"index": 1, "object": "score", "score": 1.0},
            {"index": 2, "object": "score", "score": 0.5},
        ],
        "usage": {"prompt_tokens": 15, "total_tokens": 15},
    }


@pytest.mark.parametrize(
    "names", [("queries", "documents"), ("queries", "items"), ("data_1", "data_2"), ("text_1", "text_2")]
)
@pytest.mark.parametrize("path", ["/score", "/v1/score", "/invocations"])
def test_all_four_pairs_of_names_are_read(path: str, names: tuple[str, str]) -> None:
    found = wanted(path, dict(zip(names, (["p", "q"], ["a", "b"]), strict=True)))
    assert found.dialect == "vllm_score"
    assert (found.score_request.queries, found.score_request.documents) == (("p", "q"), ("a", "b"))


@pytest.mark.parametrize(
    ("queries", "documents"), [("q", "a"), ("q", ["a"]), (["q"], "a"), ("q", ["a", "b"]), (["q"], ["a", "b"])]
)
def test_one_query_meets_one_or_many(queries: Any, documents: Any) -> None:
    ask = asked("/score", {"queries": queries, "documents": documents})
    assert ask.queries == ("q",)
    assert ask.documents == tuple(documents)


def test_sides_that_do_not_match_are_refused_with_both_numbers() -> None:
    fault = refused("/score", {"data_1": ["p", "q"], "data_2": ["a", "b", "c"]})
    assert str(fault) == "data_1 has 2 texts and data_2 has 3; send one in data_1, or as many"
    assert "text_1 has 2 texts and text_2 has 1" in str(refused("/score", {"text_1": ["p", "q"], "text_2": "a"}))


def test_a_missing_side_is_named() -> None:
    assert str(refused("/score", {"queries": "q"})) == "documents is missing, and has to be there beside queries"
    assert (
        str(refused("/score", {})) == "there are no pairs in the body; send text_1 and text_2, or queries and documents"
    )


def test_an_empty_side_and_an_empty_query_are_refused() -> None:
    assert isinstance(refused("/score", {"text_1": [], "text_2": ["a"]}), Empty)
    assert isinstance(refused("/score", {"text_1": "q", "text_2": []}), Empty)
    assert refused("/score", {"text_1": ["q", ""], "text_2": ["a", "b"]}).parameter == "text_1[1]"


def test_without_activation_scores_are_logits() -> None:
    body = {"text_1": "q", "text_2": "a", "use_activation": False}
    assert shown("/score", body, answer(-1.5))["data"] == [{"index": 0, "object": "score", "score": -1.5}]
