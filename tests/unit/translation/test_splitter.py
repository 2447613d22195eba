"""Long texts in pieces, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.translation.splitter import Piece, join, split

LIMIT = 10_000


def whole(pieces: list[Piece]) -> str:
    return "".join(piece.text + piece.after for piece in pieces)


def test_a_text_within_the_limit_is_one_piece() -> None:
    assert split("One. Two.", 9) == [Piece("One. Two.")]
    assert split("", LIMIT) == [Piece("")]


def test_a_european_text_is_cut_at_the_last_sentence_end_that_fits() -> None:
    assert split("One two. Three four? Five six! Seven", 22) == [
        Piece("One two. Three four?", " ", ends_sentence=True),
        Piece("Five six! Seven"),
    ]


def test_a_number_with_a_point_is_no_sentence_end() -> None:
    assert [piece.text for piece in split("It is 3.14159 wide. Yes.", 20)] == ["It is 3.14159 wide.", "Yes."]
    assert [piece.text for piece in split("It is 3.14159265 wide.", 14)] == ["It is", "3.14159265", "wide."]


def test_quotes_and_brackets_stay_with_their_sentence() -> None:
    assert [piece.text for piece in split('He said "no." (Really.) Then left.', 24)] == [
        'He said "no." (Really.)',
        "Then left.",
    ]


def test_a_korean_syllable_is_three_bytes() -> None:
    # 19 characters are 43 bytes, and the limit is in bytes.
    text = "문을 열었다. 바람이 불었다. 끝."
    assert len(text) == 19
    assert len(text.encode()) == 43
    assert [piece.text for piece in split(text, 40)] == ["문을 열었다. 바람이 불었다.", "끝."]
    assert [piece.text for piece in split(text, 20)] == ["문을 열었다.", "바람이 불었다.", "끝."]


def test_japanese_and_chinese_sentences_end_without_white_space() -> None:
    assert [piece.text for piece in split("雨が降った。「傘がない。」彼は言った。", 40)] == [
        "雨が降った。「傘がない。」",
        "彼は言った。",
    ]
    assert [piece.text for piece in split("天气很好！我们走吧？好。", 30)] == ["天气很好！我们走吧？", "好。"]


def test_the_end_of_a_line_is_an_end() -> None:
    assert split("A heading\n\nIts paragraph goes on", 30) == [
        Piece("A heading", "\n\n", ends_sentence=True),
        Piece("Its paragraph goes on"),
    ]


def test_without_a_sentence_end_it_is_cut_at_white_space() -> None:
    assert split("aaa bbb  ccc", 8) == [Piece("aaa bbb", "  "), Piece("ccc")]


def test_without_white_space_it_is_cut_between_two_signs() -> None:
    assert split("가나다라", 7) == [Piece("가나"), Piece("다라")]


def test_a_sign_is_not_cut_from_its_accent_nor_an_emoji_in_two() -> None:
    assert [piece.text for piece in split("xe\u0301e\u0301", 5)] == ["xe\u0301", "e\u0301"]
    family = "\U0001f468\u200d\U0001f469"
    assert len(family.encode()) == 11
    assert [piece.text for piece in split("xxxxxx" + family, 13)] == ["xxxxxx", family]


def test_translations_stand_as_their_pieces_stood() -> None:
    pieces = split("One two.\n\nThree four.  Five", 12)
    assert [piece.after for piece in pieces] == ["\n\n", "  ", ""]
    assert join(pieces, ["하나 둘.", "셋 넷.", "다섯"], "ko") == "하나 둘.\n\n셋 넷.  다섯"


def test_chinese_sentences_get_a_space_between_them_in_english_and_none_in_japanese() -> None:
    pieces = split("天气很好。我们走吧。", 15)
    assert join(pieces, ["Fine.", "Let us go."], "en") == "Fine. Let us go."
    assert join(pieces, ["いい。", "行こう。"], "ja") == "いい。行こう。"


def test_a_word_that_was_cut_in_two_is_not_parted() -> None:
    assert join(split("가나다라", 7), ["ab", "cd"], "en") == "abcd"


ALPHABET = st.sampled_from(list("ab .!?\n\t。「」가é\u0301\u200d\U0001f468\"')"))


@given(st.text(ALPHABET, max_size=200), st.integers(4, 60))
def test_nothing_is_lost_and_no_piece_is_too_long(text: str, limit: int) -> None:
    pieces = split(text, limit)
    assert whole(pieces) == text
    assert all(len(piece.text.encode()) <= limit for piece in pieces)


@given(st.text(ALPHABET, max_size=200), st.integers(8, 60))
def test_pieces_are_cut_again_into_themselves(text: str, limit: int) -> None:
    # The memory keeps pieces; a piece that came back as two would be asked for once more.
    for piece in split(text, limit):
        assert [each.text for each in split(piece.text, limit)] == [piece.text]


def test_a_megabyte_without_an_end_is_cut_in_good_time() -> None:
    text = "x" * 1_000_000
    pieces = split(text, LIMIT)
    assert len(pieces) == 100
    assert whole(pieces) == text


@pytest.mark.parametrize("limit", [1, 2])
def test_a_sign_larger_than_the_limit_is_not_an_endless_loop(limit: int) -> None:
    with pytest.raises(ValueError, match=f"a limit of {limit} bytes holds no sign"):
        split("가나", limit)
