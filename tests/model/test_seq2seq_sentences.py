"""Texts in sentences and back, and which of a model's codes a language is. No model is loaded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import SettingsError
from crossrank.translation.backend import Outcome
from crossrank.translation.backends.seq2seq_assembly import Assembly
from crossrank.translation.backends.seq2seq_languages import code_of, same_language
from crossrank.translation.backends.seq2seq_sentences import has_words, sentences, shortened
from crossrank.translation.backends.seq2seq_writing import LOOP_PERIOD, LOOP_TOKENS, loops
from crossrank.translation.splitter import Piece


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Dr. Kim met J. K. Rowling in the U.S. Senate.", ["Dr. Kim met J. K. Rowling in the U.S. Senate."]),
        ("It costs 3.50 dollars, e.g. for two.", ["It costs 3.50 dollars, e.g. for two."]),
        ("Wait ... for it. Done.", ["Wait ... for it.", "Done."]),
        ("See example.com. Then go.", ["See example.com.", "Then go."]),
        ("A title\nA text that goes on", ["A title", "A text that goes on"]),
        ("끝났다. 다시 시작한다.", ["끝났다.", "다시 시작한다."]),
        ("完了。次です！本当？", ["完了。", "次です！", "本当？"]),
        ("Er kam z.B. am 3. Mai.", ["Er kam z.B. am 3.", "Mai."]),
        ("no end", ["no end"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert [piece.text for piece in sentences(text)] == expected


def test_what_stands_between_sentences_is_kept_as_it_is() -> None:
    assert sentences("  One.  Two.\n\n Three \n") == [
        Piece("", "  "),
        Piece("One.", "  ", True),
        Piece("Two.", "\n\n ", True),
        Piece("Three", " \n", True),
    ]


pieces = st.sampled_from(
    ["a", "B", ".", "?", "…", " ", "\n", "\t", "。", "！", '"', ")", "Dr.", "1", "가", ",", "\u3000", "؟"]
)


@given(st.lists(pieces, max_size=24).map("".join))
def test_no_character_is_lost_doubled_or_moved(text: str) -> None:
    found = sentences(text)
    assert "".join(piece.text + piece.after for piece in found) == text
    assert all(piece.text == piece.text.strip() for piece in found)
    assert all(piece.after.strip() == "" for piece in found)


@given(st.lists(pieces, max_size=40).map("".join), st.integers(1, 12))
def test_parts_of_a_long_sentence_are_all_of_it_and_fit(text: str, limit: int) -> None:
    parts = shortened(Piece(text.strip(), " ", True), lambda part: len(part.strip()) <= limit)
    if parts is None:  # a run without a space or a comma
        assert any(len(word) > limit for word in text.split())
        return
    assert "".join(part.text + part.after for part in parts) == f"{text.strip()} "
    assert all(len(part.text.strip()) <= limit for part in parts)


def test_a_long_sentence_is_cut_after_commas_before_it_is_cut_between_words() -> None:
    parts = shortened(Piece("one two three, four five six, seven", "\n"), lambda part: len(part) <= 19)
    assert parts == [Piece("one two three,", " "), Piece("four five six,", " "), Piece("seven", "\n")]
    assert shortened(Piece("a" * 30, ""), lambda part: len(part) <= 20) is None
    assert shortened(Piece("a b", ""), lambda part: True) == [Piece("a b", "")]


@given(st.lists(st.lists(pieces, max_size=12).map("".join), max_size=5), st.randoms())
def test_every_text_is_told_once_whatever_the_order_of_its_sentences(texts: list[str], random: object) -> None:
    assembly = Assembly({place: sentences(text) for place, text in enumerate(texts)}, "ko")
    told = assembly.without_words()
    asked = assembly.sentences
    assert len(set(asked)) == len(asked)
    random.shuffle(asked)  # type: ignore[attr-defined]
    for sentence in asked:
        told += assembly.settle(sentence, Outcome(sentence.upper()))
    assert sorted(place for place, _ in told) == list(range(len(texts)))
    for place, outcome in told:
        assert outcome.text is not None
        # A space may come between sentences that had none; words and their order are those of the text.
        assert "".join(outcome.text.split()) == "".join(texts[place].upper().split())
        assert has_words(texts[place]) or outcome.text == texts[place]


def test_a_text_is_told_with_its_last_sentence_and_not_before() -> None:
    assembly = Assembly({0: sentences("One. Two."), 1: sentences("Two.")}, "ko")
    assert assembly.without_words() == []
    assert list(assembly.settle("One.", Outcome("하나."))) == []
    assert list(assembly.settle("Two.", Outcome(None, "why"))) == [
        (0, Outcome(None, "sentence 2 of 2: why")),
        (1, Outcome(None, "why")),
    ]


NLLB = ["eng_Latn", "kor_Hang", "zho_Hans", "zho_Hant", "arb_Arab", "arb_Latn", "zsm_Latn", "pes_Arab", "nob_Latn"]
MARIAN = ["kor", "cmn_Hans", "cmn_Hant", "por", "pt_BR", "deu"]


@pytest.mark.parametrize(
    ("language", "codes", "expected"),
    [
        ("ko", NLLB, "kor_Hang"),
        ("kor", NLLB, "kor_Hang"),
        ("ko-KR", NLLB, "kor_Hang"),
        ("kor_Hang", NLLB, "kor_Hang"),
        ("zh", NLLB, "zho_Hans"),
        ("zh-TW", NLLB, "zho_Hant"),
        ("zh-Hant", MARIAN, "cmn_Hant"),
        ("ar", NLLB, "arb_Arab"),
        ("ms", NLLB, "zsm_Latn"),
        ("fa", NLLB, "pes_Arab"),
        ("no", NLLB, "nob_Latn"),
        ("pt", MARIAN, "por"),
        ("pt_BR", MARIAN, "pt_BR"),
        ("ko", ["en", "ko"], "ko"),
        ("iw", ["he"], "he"),
    ],
)
def test_a_language_is_found_by_any_of_its_names(language: str, codes: list[str], expected: str) -> None:
    assert code_of(language, codes, "a model", "--target") == expected
    assert code_of(language, codes[::-1], "a model", "--target") == expected


@pytest.mark.parametrize("language", ["sw", "korean", "xx", "", "ko ko"])
def test_a_language_that_a_model_lacks_is_refused_with_what_it_has(language: str) -> None:
    with pytest.raises(SettingsError) as error:
        code_of(language, NLLB, "some/nllb", "--target")
    assert str(error.value).startswith(f"--target is {language}, which some/nllb does not have; it has arb_Arab, ")
    with pytest.raises(SettingsError, match=r"and 76 more$"):
        code_of(language, [f"q{number}" for number in range(100)], "m", "--target")


def test_two_tags_are_one_language_or_are_not_or_it_is_not_known() -> None:
    assert same_language("ko", "kor") is True
    assert same_language("ko", "ja") is False
    assert same_language("ko", "mul") is not True
    assert same_language("ko", "gmw-x") is not True


def test_a_loop_is_a_part_over_and_over_at_the_end_and_long_enough() -> None:
    assert loops([7] * LOOP_TOKENS)
    assert not loops([7] * (LOOP_TOKENS - 1))
    assert loops([1, 2, 3, *[4, 5] * (LOOP_TOKENS // 2)])
    assert not loops([*[4, 5] * LOOP_TOKENS, 6])
    long = list(range(LOOP_PERIOD))
    assert loops(long * 3)
    assert not loops(long * 2)
    assert not loops([*range(LOOP_PERIOD + 1)] * 3)
    assert not loops(list(range(200)))
    assert not loops([])
