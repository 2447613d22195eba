"""From a text to terms, language by language."""

from __future__ import annotations

import pickle
import sys

import pytest
import Stemmer

from crossrank.errors import MissingExtra, SettingsError
from crossrank.retrieval.analysis import LANGUAGES, SNOWBALL, analyser, choose_language


def test_korean_is_cut_into_overlapping_bigrams_of_each_word() -> None:
    # 한국어는 -> 한국 국어 어는; 어렵다 -> 어렵 렵다. No bigram crosses the space.
    assert analyser("ko")("한국어는 어렵다") == ["한국", "국어", "어는", "어렵", "렵다"]


def test_a_word_of_one_syllable_is_kept_whole() -> None:
    assert analyser("ko")("물, 불") == ["물", "불"]


def test_latin_words_and_numbers_in_korean_stay_whole_and_are_lowercased() -> None:
    assert analyser("ko")("BMW는 5km를 28.3초에") == ["bmw", "는", "5km", "를", "28", "3", "초에"]


def test_full_width_letters_and_decomposed_hangul_match_their_usual_forms() -> None:
    assert analyser("ko")("ＡＢＣ") == analyser("ko")("abc") == ["abc"]
    decomposed = "\u1112\u1161\u11ab\u1100\u116e\u11a8"
    assert analyser("ko")(decomposed) == ["한국"]


def test_chinese_and_japanese_are_bigrams_too() -> None:
    assert analyser("zh")("北京大学") == ["北京", "京大", "大学"]
    assert analyser("ja")("東京タワー・駅") == ["東京", "京タ", "タワ", "ワー", "駅"]


def test_english_is_lowercased_stemmed_and_rid_of_stop_words() -> None:
    assert analyser("en")("The QUICK foxes of running_water") == ["quick", "fox", "run", "water"]


def test_repeats_are_kept_because_bm25_counts_them() -> None:
    assert analyser("en")("fox foxes Fox") == ["fox", "fox", "fox"]


def test_diacritics_are_kept() -> None:
    assert analyser("fr")("côte") != analyser("fr")("cote")


def test_turkish_capital_i_loses_its_dot_and_keeps_it() -> None:
    assert analyser("tr")("IŞIK İZMİR") == analyser("tr")("ışık izmir")


def test_hindi_words_are_not_cut_at_their_vowel_signs() -> None:
    assert len(analyser("hi")("किताबें पढ़ते")) == 2


def test_every_language_has_a_stemmer_and_a_text_without_words_has_no_terms() -> None:
    assert set(SNOWBALL.values()) <= set(Stemmer.algorithms())
    for language in SNOWBALL:
        assert analyser(language)(" -- ?! ") == []


def test_an_analyser_is_the_same_after_pickling() -> None:
    for language in ("ko", "de"):
        copy = pickle.loads(pickle.dumps(analyser(language)))
        assert copy == analyser(language)
        assert copy.name == language


def test_an_unknown_language_is_refused_with_the_choices() -> None:
    with pytest.raises(SettingsError, match="'xx'") as refusal:
        analyser("xx")
    assert all(language in str(refusal.value) for language in LANGUAGES)
    with pytest.raises(SettingsError, match="'xx'"):
        choose_language("xx", [])


def test_auto_has_to_be_chosen_from_a_sample_first() -> None:
    with pytest.raises(SettingsError, match="auto"):
        analyser("auto")


@pytest.mark.parametrize(
    ("sample", "language", "reason"),
    [
        (["한국어 문장", "둘째 문장"], "ko", "100% Hangul"),
        (["東京タワー"], "cjk", "100% Han or Kana"),
        (["An English sentence"], "en", "0% Hangul"),
        # 2 letters of 8 are Hangul: bigrams serve the Latin words too, stems would not serve the Korean ones.
        (["한국 abcdef"], "ko", "25% Hangul"),
        ([], "en", "no letters in 0 sampled passages"),
    ],
)
def test_auto_goes_by_the_scripts_of_the_sample_and_says_why(sample: list[str], language: str, reason: str) -> None:
    chosen = choose_language("auto", sample)
    assert chosen.value == language
    assert reason in chosen.why


def test_a_language_that_is_named_is_kept_whatever_the_sample() -> None:
    assert choose_language("de", ["한국어"]).value == "de"


def test_kiwi_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)
    with pytest.raises(MissingExtra, match=r"crossrank\[korean\]"):
        analyser("ko-kiwi")
