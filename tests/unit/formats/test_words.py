"""Ids in runs and judgements, whatever they are made of."""

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.formats.words import id_of, word_of

WHITE = [character for character in map(chr, range(0x110000)) if character.isspace()]


@pytest.mark.parametrize("plain", ["d1", "문서-7", "https://a.b/c%20d?e=%EC", "100%", "%", "a%%b", "😀", "\u200b"])
def test_an_id_without_white_space_is_written_as_it_is_so_that_it_fits_the_files_of_others(plain: str) -> None:
    assert word_of(plain) == plain == id_of(plain)


@pytest.mark.parametrize(
    ("identifier", "word"),
    [
        ("two words", "%%two%20words"),
        ("a\tb", "%%a%09b"),
        ("가\u3000나", "%%가%E3%80%80나"),
        ("50% of\xa0it", "%%50%25%20of%C2%A0it"),
        ("\x85", "%%%C2%85"),
        ("\ufeffq1", "%%%EF%BB%BFq1"),
        ("nul\0", "%%nul%00"),
        ("", "%%"),
        ("%%a%20b", "%%%25%25a%2520b"),
    ],
)
def test_an_id_with_white_space_becomes_one_word_that_anybody_can_read_back(identifier: str, word: str) -> None:
    assert word_of(identifier) == word
    assert id_of(word) == identifier
    assert unquote(word[2:]) == identifier, "as the guide says it"


@pytest.mark.parametrize("foreign", ["%%a", "%%a%2", "%%a%2f", "%%a%FFb", "%%a%41", "%% "])
def test_a_word_that_we_never_write_is_an_id_as_it_is(foreign: str) -> None:
    assert id_of(foreign) == foreign


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from([*WHITE, "%", "\0", "\ufeff"])))
def test_every_id_comes_back_and_is_one_word_for_every_reader(identifier: str) -> None:
    word = word_of(identifier)
    assert id_of(word) == identifier
    assert word.split() == [word]
    assert word.encode().split() == [word.encode()]
    assert word.splitlines() == [word]
