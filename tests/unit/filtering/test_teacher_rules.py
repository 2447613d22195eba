"""What a teacher's scores in two languages say of a document. Scores are words that query and document share."""

from __future__ import annotations

import math

import pytest

from crossrank.filtering import teacher_rules
from crossrank.filtering.teacher_rules import Margins, compared, pairs_of, scores_of
from tests.unit.filtering.made import NEGATIVE, OTHER, POSITIVE, QUERY, doc, flags, group
from tests.unit.stand_ins import OverlapScorer

MARGINS = Margins(drop=3.0, negative=1.0)
TRIO = group(doc(POSITIVE, 1.0), doc(NEGATIVE), doc(OTHER))


def test_each_document_is_scored_before_and_after_translation() -> None:
    assert pairs_of(group()) == [
        (QUERY[0], POSITIVE[0]),
        (QUERY[1], POSITIVE[1]),
        (QUERY[0], NEGATIVE[0]),
        (QUERY[1], NEGATIVE[1]),
    ]


def test_a_positive_that_loses_more_than_the_margin_was_translated_badly() -> None:
    # Source and target of the positive, of the first negative, of the second.
    assert flags(compared(TRIO, [6.0, 3.0, -5.0, -5.0, -4.0, -4.0], MARGINS)) == [[], [], []]
    assert flags(compared(TRIO, [6.0, 2.9, -5.0, -5.0, -4.0, -4.0], MARGINS)) == [["teacher_drop"], [], []]
    assert flags(compared(TRIO, [6.0, 9.0, -5.0, -9.0, -4.0, 5.0], MARGINS)) == [[], [], []]


def test_a_negative_that_is_worth_a_positive_in_the_source_is_none() -> None:
    two = group(doc(POSITIVE, 1.0), doc(OTHER, 1.0), doc(NEGATIVE))

    # The worst positive has 4, less a margin of 1.
    assert flags(compared(two, [6.0, 6.0, 4.0, 4.0, 2.9, 9.0], MARGINS)) == [[], [], []]
    assert flags(compared(two, [6.0, 6.0, 4.0, 4.0, 3.0, -9.0], MARGINS)) == [[], [], ["teacher_false_negative"]]


def test_an_unjudged_document_and_a_group_without_a_positive_have_no_false_negatives() -> None:
    unjudged = group(doc(POSITIVE, 1.0), doc(NEGATIVE, None))
    without = group(doc(OTHER), doc(NEGATIVE))

    assert flags(compared(unjudged, [1.0, 1.0, 9.0, 9.0], MARGINS)) == [[], []]
    assert flags(compared(without, [1.0, 1.0, 9.0, 9.0], MARGINS)) == [[], []]


def test_the_teacher_score_to_learn_from_is_that_of_the_source_and_both_are_kept() -> None:
    [positive, *_] = compared(TRIO, [6.0, 5.0, -5.0, -5.0, -4.0, -4.0], MARGINS).docs

    assert positive.teacher_score == 6.0
    assert positive.meta["crossrank_filter"]["teacher"] == {"source": 6.0, "target": 5.0, "before": None}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_no_number_is_a_reason_and_no_score(bad: float) -> None:
    judged = compared(TRIO, [6.0, bad, bad, -5.0, -4.0, -4.0], MARGINS)

    assert flags(judged) == [["teacher_not_finite"], ["teacher_not_finite"], []]
    assert [each.teacher_score for each in judged.docs] == [None, None, -4.0]


def test_what_is_flagged_already_or_was_not_translated_is_not_scored() -> None:
    untranslated = doc(OTHER)
    untranslated.meta.clear()
    some = group(doc(POSITIVE, 1.0, flags=("empty",)), untranslated, doc(NEGATIVE))

    assert pairs_of(some) == [(QUERY[0], NEGATIVE[0]), (QUERY[1], NEGATIVE[1])]
    assert flags(compared(some, [2.0, 2.0], MARGINS)) == [["empty"], [], []]


@pytest.mark.parametrize("window", [1, 3, 100])
def test_scores_come_back_to_the_group_that_they_are_of(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(teacher_rules, "WINDOW_PAIRS", window)
    pairs = [[("a b", "a"), ("a b", "a b")], [], [("c", "d c")], [("x", "y"), ("a b", "a b"), ("e f g", "g f e")]]

    assert list(scores_of(OverlapScorer(), pairs)) == [[1.0, 2.0], [], [1.0], [0.0, 2.0, 3.0]]
