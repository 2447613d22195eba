"""What flags a group gets, and that they come off again."""

from __future__ import annotations

from dataclasses import replace

from crossrank.filtering.flags import cleared, flagged, scored
from crossrank.records import Candidate
from crossrank.translation.origin import with_origin
from tests.unit.filtering.made import JUDGE, NEGATIVE, OTHER, POSITIVE, doc, flags, group


def test_a_good_group_stays_as_it_is() -> None:
    assert JUDGE.judged(group()) == group()


def test_a_bad_document_is_flagged_and_the_rest_of_the_group_kept() -> None:
    judged = JUDGE.judged(group(doc(POSITIVE, 1.0), doc(("Tigers hunt at night.", "err")), doc(NEGATIVE)))

    assert flags(judged) == [[], ["backend_error"], []]
    assert [each.text for each in judged.docs] == [POSITIVE[1], "err", NEGATIVE[1]]


def test_where_the_query_is_bad_every_document_says_so() -> None:
    bad = group(doc(POSITIVE, 1.0), doc(("Five of 12.", "다섯.")), query=("what do pandas eat", ""))

    assert flags(JUDGE.judged(bad)) == [["query_empty"], ["lost_number", "query_empty"]]


def test_title_and_text_are_judged_as_the_model_reads_them() -> None:
    titled = Candidate(
        "d1",
        title="판다",
        text="대나무를 먹는다.",
        label=1.0,
        meta=with_origin({}, title="Panda 7", text="It eats bamboo."),
    )

    assert flags(JUDGE.judged(group(titled))) == [["lost_number"]]


def test_what_the_translation_says_it_could_not_do_is_a_backend_error_and_no_copy() -> None:
    source = "The whole text stayed in the language that it was written in."
    failed = doc((source, source), flags=("translation_error",), meta={"translation_error": "text: too long"})

    assert flags(JUDGE.judged(group(doc(POSITIVE, 1.0), failed))) == [[], ["translation_error", "backend_error"]]
    of_query = group(query=("how are you today my friend",) * 2, meta={"translation_error": "query: throttled"})
    assert flags(JUDGE.judged(of_query)) == [["query_backend_error"]] * 2


def test_a_negative_that_became_the_positive_is_flagged_and_the_positive_kept() -> None:
    same = ("Bamboo is what pandas eat.", "판다는, 하루 종일 대나무를 먹는다!")

    assert flags(JUDGE.judged(group(doc(same), doc(POSITIVE, 1.0), doc(NEGATIVE)))) == [
        ["positive_equals_negative"],
        [],
        [],
    ]


def test_an_unjudged_document_that_equals_the_positive_is_no_negative_either() -> None:
    assert flags(JUDGE.judged(group(doc(POSITIVE, 1.0), doc(POSITIVE, None)))) == [[], ["positive_equals_negative"]]


def test_of_equal_texts_the_first_is_kept() -> None:
    judged = JUDGE.judged(group(doc(POSITIVE, 1.0), doc(NEGATIVE), doc(OTHER), doc(NEGATIVE), doc(POSITIVE, 1.0)))

    assert flags(judged) == [[], [], [], ["duplicate_text"], ["duplicate_text"]]


def test_two_empty_documents_are_empty_and_not_equal() -> None:
    empty = ("Tigers hunt at night.", "")

    assert flags(JUDGE.judged(group(doc(empty, 1.0), doc(empty)))) == [["empty"], ["empty"]]


def test_a_bad_positive_does_not_spoil_the_negative_that_equals_it() -> None:
    one = ("It has 7 cubs.", "새끼를 낳는다.")
    other = ("It has cubs.", "새끼를 낳는다.")

    assert flags(JUDGE.judged(group(doc(one, 1.0), doc(other), doc(POSITIVE, 1.0)))) == [["lost_number"], [], []]


def test_a_document_that_was_not_translated_is_compared_but_not_judged() -> None:
    mined = Candidate("m1", text="This English text was never translated at all.", label=0.0)
    copy = Candidate("m2", text=POSITIVE[1], label=0.0)

    judged = JUDGE.judged(group(doc(POSITIVE, 1.0), mined, copy))
    assert flags(judged) == [[], [], ["positive_equals_negative"]]


def test_a_group_without_an_origin_or_of_other_languages_is_left_alone() -> None:
    bad = group(doc(("Tigers hunt at night.", "err")))

    assert JUDGE.not_judged(replace(bad, meta={})) == "no_origin"
    assert JUDGE.not_judged(replace(bad, lang="ja")) == "other_languages"
    assert JUDGE.not_judged(replace(bad, lang="ko-KR")) is None
    assert JUDGE.not_judged(replace(bad, meta=with_origin({}, lang="fr", query="?"))) == "other_languages"
    assert flags(JUDGE.judged(replace(bad, lang="ja"))) == [[]]


def test_judging_twice_is_judging_once() -> None:
    once = JUDGE.judged(group(doc(POSITIVE, 1.0), doc(("It has 7 cubs.", "err")), query=("12 pandas", "판다")))

    assert JUDGE.judged(once) == once


def test_a_flag_that_is_no_longer_deserved_goes_and_only_that() -> None:
    bad = doc(("It has 7 cubs.", "새끼를 낳는다."), flags=("toxic", "empty"))  # somebody else calls it empty
    judged = JUDGE.judged(group(doc(POSITIVE, 1.0), bad))
    assert flags(judged) == [[], ["toxic", "empty", "lost_number"]]

    lenient = replace(JUDGE, thresholds=replace(JUDGE.thresholds, lost_numbers_share=1.1))
    assert flags(lenient.judged(judged)) == [[], ["toxic", "empty"]]


def test_clearing_gives_back_the_group_as_it_was() -> None:
    before = group(doc(POSITIVE, 1.0, flags=("toxic",), teacher_score=0.25), doc(("It has 7 cubs.", "err")))
    judged = JUDGE.judged(before)
    docs = (scored(judged.docs[0], 3.0, 2.0), flagged(judged.docs[1], ["teacher_drop"]))

    assert docs[0].teacher_score == 3.0
    assert cleared(replace(judged, docs=docs)) == before


def test_a_flag_of_ours_that_was_there_before_us_stays_when_ours_are_cleared() -> None:
    before = group(doc(POSITIVE, 1.0), doc(("It has 7 cubs.", ""), flags=("empty",)))

    assert cleared(JUDGE.judged(before)) == before


def test_a_meta_of_somebody_else_under_our_names_is_no_origin_and_stays() -> None:
    texts = doc(("Tigers hunt at night.", "err"))
    strange = replace(texts, meta={"origin": "a book", "filter": "mine"})

    assert JUDGE.not_judged(replace(group(strange), meta={"origin": "a library"})) == "no_origin"
    assert JUDGE.not_judged(replace(group(strange), meta={"origin": {"query": 7}})) == "no_origin"
    assert JUDGE.judged(group(strange)) == group(strange)
