"""Which texts are the same passage, and which only look it."""

from __future__ import annotations

import pytest

from crossrank.mining.near_duplicates import Fingerprint, containment, jaccard, normalised, text_hash

PASSAGE = (
    "The lighthouse of Alexandria was built in the third century before Christ on the island of Pharos, and it was for "
    "centuries among the tallest structures that people had made; three earthquakes brought it down."
)


def likeness(one: str, other: str) -> float:
    return jaccard(Fingerprint.of(one), Fingerprint.of(other))


def part(one: str, other: str) -> float:
    return containment(Fingerprint.of(one), Fingerprint.of(other))


@pytest.mark.parametrize(
    "copy",
    [
        PASSAGE,
        PASSAGE.upper(),
        f"  {PASSAGE}\n\n",
        PASSAGE.replace(" ", "\t \n"),
        PASSAGE.replace(",", " -").replace(";", "."),
        PASSAGE.replace("Christ", "Ｃｈｒｉｓｔ"),
    ],
)
def test_a_copy_in_another_layout_case_or_width_has_the_same_hash(copy: str) -> None:
    assert text_hash(copy) == text_hash(PASSAGE)
    assert likeness(copy, PASSAGE) == 1.0


def test_a_changed_digit_is_another_text() -> None:
    assert text_hash("1,000 people in 1990") != text_hash("1,000 people in 1991")


def test_hangul_in_two_unicode_forms_is_the_same() -> None:
    assert text_hash("한국어") == text_hash("\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165")
    assert normalised("대한 민국!") == "대한민국"


def test_a_text_without_letters_is_like_nothing_not_even_itself() -> None:
    assert text_hash("...") == 0
    assert likeness("...", "...") == 0.0
    assert part("...", PASSAGE) == 0.0


def test_jaccard_of_shingles_by_hand() -> None:
    # abcdefg has abcde bcdef cdefg; abcdefx has abcde bcdef cdefx: 2 of 4.
    assert likeness("abcdefg", "abc def x") == 0.5
    assert likeness("abc", "abc") == 1.0  # shorter than a shingle: the whole text is one
    assert likeness("abc", "abd") == 0.0


def test_a_lightly_edited_copy_is_like_it_and_another_text_on_the_same_subject_is_not() -> None:
    edited = PASSAGE.replace("tallest", "highest").replace("brought it down", "destroyed it")
    other = (
        "The lighthouse of Genoa was built in the twelfth century on the hill of San Benigno, and it is today among "
        "the tallest of its kind; ships see it from thirty miles away."
    )
    assert likeness(PASSAGE, edited) > 0.7
    assert likeness(PASSAGE, other) < 0.35


def test_half_a_passage_is_contained_in_it_and_hardly_alike() -> None:
    half = PASSAGE[: len(PASSAGE) // 2]
    assert part(half, PASSAGE) == part(PASSAGE, half) == 1.0
    assert likeness(half, PASSAGE) < 0.55


def test_a_short_text_is_contained_in_nothing() -> None:
    # "Alexandria" is in the passage, and a passage that is a heading is no copy of what stands below it.
    assert part("The lighthouse of Alexandria", PASSAGE) == 0.0
