"""The filters against false negatives, one by one, with figures worked by hand."""

from __future__ import annotations

import math

import pytest

from crossrank.mining.false_negatives import Alike, Drop, Margin, answers_of
from crossrank.mining.near_duplicates import Fingerprint

LONG = "a passage of some length, so that a part of it may be told from a word that it happens to share with others"


def found(passage: str, *positives: str) -> Drop | None:
    named = [(f"p{number}", Fingerprint.of(positive)) for number, positive in enumerate(positives)]
    fault = Alike().find(Fingerprint.of(passage), named)
    return None if fault is None else fault[0]


def test_a_copy_of_any_positive_is_dropped_and_of_none_is_not() -> None:
    assert found(LONG.upper(), "another", LONG) is Drop.EXACT_COPY
    assert found(f"{LONG}, and more of it", "another", LONG) is Drop.NEAR_DUPLICATE
    assert found("something else entirely, which nobody said before", "another", LONG) is None
    assert found(LONG) is None


def test_what_was_found_names_the_positive() -> None:
    fault = Alike().find(Fingerprint.of(LONG), [("p7", Fingerprint.of(LONG))])
    assert fault == (Drop.EXACT_COPY, "the text of the positive p7")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("Paris", "the capital is Paris."),
        ("new york", "in New\n York, which"),
        ("세종대왕", "한글은 세종대왕이 만들었다"),  # a particle follows
        ("5 km", "about 5km를 갔다"),  # no: see below
        (["London", "Paris"], "PARIS it is"),
        (1990, "in 1990, when"),
        ("U.S.A.", "the U.S.A. and"),
    ],
)
def test_a_text_that_holds_the_answer_is_told(answer: object, text: str) -> None:
    held = answers_of({"answer": answer})(text)
    if answer == "5 km":
        assert held is None  # letters after digits are not pulled apart
    else:
        assert held is not None


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("art", "at the party"),
        ("19", "in 1990"),
        ("Paris", "Parisians"),
        ("", "anything"),
        ("?!", "anything"),
        (None, "anything"),
        ([], "anything"),
    ],
)
def test_a_part_of_a_word_is_no_answer_and_nothing_is_found_in_everything(answer: object, text: str) -> None:
    assert answers_of({"answer": answer})(text) is None


def test_a_group_without_an_answer_has_none_in_any_text() -> None:
    assert answers_of({})("anything") is None


def test_an_absolute_margin_is_in_logits_under_the_lowest_positive() -> None:
    margin = Margin("absolute", 2.0)
    assert margin.ceiling([5.0, 3.0]) == 1.0
    assert margin.find(0.99, 1.0) is None
    assert margin.find(1.0, 1.0) == (
        Drop.OVER_MARGIN,
        "the teacher scores it 1.000, and negatives have to be under 1.000",
    )


def test_a_relative_margin_is_a_share_of_the_lowest_positives_probability() -> None:
    # sigmoid(ln 4) = 0.8; 0.95 * 0.8 = 0.76, whose logit is ln(0.76 / 0.24) = 1.1527.
    assert Margin("relative", 0.05).ceiling([math.log(4), 9.0]) == pytest.approx(1.1527, abs=1e-4)


def test_a_negative_positive_score_has_its_ceiling_below_it_and_not_above() -> None:
    # A share of the logit itself, 0.95 * -3, would lie above the positive.
    assert Margin("relative", 0.05).ceiling([-3.0]) < -3.0


def test_a_very_sure_positive_has_a_ceiling_all_the_same() -> None:
    # Its probability is 1.0 in every float, and 0.95 has the logit 2.944.
    assert Margin("relative", 0.05).ceiling([60.0]) == pytest.approx(2.944, abs=1e-3)
    assert Margin("relative", 0.0).ceiling([60.0]) == 60.0
    assert Margin("relative", 0.05).ceiling([-800.0]) <= -800.0


@pytest.mark.parametrize("logit", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_dropped_and_never_taken_for_a_low_one(logit: float) -> None:
    fault = Margin("absolute", 0.0).find(logit, 1.0)
    assert fault is not None
    assert fault[0] is Drop.SCORE_NOT_FINITE
