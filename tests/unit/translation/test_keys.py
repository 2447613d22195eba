"""Under what a translation is kept."""

from __future__ import annotations

from crossrank.translation.keys import TextKeys, normalised

AMAZON = {"backend": "amazon", "source": "en", "target": "ko", "formality": None}


def test_what_means_the_same_is_one_text() -> None:
    assert normalised("  a\r\nb\rc ") == "a\nb\nc"
    assert normalised("e\u0301") == "\u00e9"


def test_what_a_translator_may_read_otherwise_is_another_text() -> None:
    assert len({normalised(text) for text in ("US", "us", "U S", "U  S", "\uff35\uff33")}) == 5


def test_everything_that_decides_a_translation_is_in_the_key() -> None:
    keys = {TextKeys(AMAZON | changed).of("text") for changed in ({}, {"target": "ja"}, {"formality": "formal"})}
    assert len(keys) == 3
    assert len(TextKeys(AMAZON).of("text")) == 16


def test_the_order_of_an_identity_is_not_part_of_it() -> None:
    assert TextKeys(AMAZON).of("text") == TextKeys(dict(reversed(AMAZON.items()))).of("text")


def test_identity_and_text_do_not_run_into_each_other() -> None:
    assert TextKeys({"backend": "a"}).of("b") != TextKeys({"backend": "ab"}).of("")
