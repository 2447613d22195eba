"""What a sentence repeats of a value: its beginning up to a word, visibly cut, and nothing that a terminal obeys."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from crossrank.cli import main
from crossrank.errors import InputError, beginning, in_short, listed, printable, quoted
from crossrank.formats.columns import check_columns
from crossrank.formats.fields import RowRefused
from crossrank.formats.parquet import parquet_schema
from crossrank.formats.trec import number_of
from crossrank.scoring.inputs import query_of
from crossrank.telemetry.progress import say, show, show_plan

SENTENCE = "how long does it clean on a full charge of its battery"
CLEARS_THE_SCREEN = "\x1b[2J\x1b]0;title\x07"


def test_a_long_text_is_cut_after_a_whole_word_and_says_so() -> None:
    assert beginning(SENTENCE, 20) == "how long does it ..."  # "how long does it cle" would be 20
    assert beginning(SENTENCE, 22) == "how long does it clean ...", "a word that ends there is whole"
    assert beginning(SENTENCE, len(SENTENCE)) == SENTENCE


def test_a_text_without_spaces_is_cut_where_it_is_and_says_so() -> None:
    assert beginning("한" * 30, 10) == f"{'한' * 10} ..."
    assert beginning(f"a {'b' * 30}", 10) == f"a {'b' * 8} ...", "one letter says nothing of it"


def test_a_quoted_text_keeps_its_quotes_around_what_is_left_of_it() -> None:
    assert quoted(SENTENCE, 20) == "'how long does it ...'"
    assert quoted("it's") == '"it\'s"'
    assert quoted("") == "''"
    assert quoted(np.str_("short")) == "'short'"


@pytest.mark.parametrize(
    "value", [["a long document of many words"] * 10**6, dict.fromkeys(range(10**6), "text"), "x" * 10**8]
)
def test_of_a_large_value_no_more_than_its_beginning_is_written(value: object) -> None:
    started = time.perf_counter()
    told = quoted(value)
    assert time.perf_counter() - started < 1.0
    assert len(told) <= 80 + len("' ...'")
    assert "..." in told


@pytest.mark.parametrize("value", [7, None, 1.5, b"bytes", ("a", "b"), ["a"], np.array([1, 2]), float("nan")])
def test_a_short_value_is_quoted_as_python_writes_it(value: object) -> None:
    assert quoted(value) == repr(value)


@pytest.mark.parametrize("sign", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u202e", "\u2066", "\ud800"])
def test_what_a_terminal_would_obey_is_written_out(sign: str) -> None:
    for told in (in_short(f"a{sign}b"), quoted(f"a{sign}b"), listed([f"a{sign}b"]), printable(f"a{sign}b")):
        assert sign not in told
        assert ascii(sign)[1:-1] in told


def test_letters_of_every_language_and_signs_of_typography_stay_as_they_are() -> None:
    text = "한국어 日本語　全角 naïve “quoted” 1 000 👩‍💻"
    assert printable(text) == in_short(text.replace("　", " ")).replace("日本語 ", "日本語　") == text


def test_nothing_that_is_said_or_shown_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"id {CLEARS_THE_SCREEN} is malformed")
    show(f"a table of{CLEARS_THE_SCREEN}\ntwo lines")
    show_plan({"source": CLEARS_THE_SCREEN})
    with pytest.raises(SystemExit):
        main.main(["convert", "--from", "beir", "--to", "groups", f"no{CLEARS_THE_SCREEN}where", "out.parquet"])
    told = capsys.readouterr()
    assert not {"\x1b", "\x07"} & {*told.out, *told.err}
    assert "a table of\\x1b[2J\\x1b]0;title\\x07\ntwo lines\n" in told.out
    assert "no\\x1b[2J\\x1b]0;title\\x07where" in told.err


def test_sentences_that_quote_a_long_value_end_at_a_word(tmp_path: Path) -> None:
    with pytest.raises(InputError) as of_texts:
        query_of([f"{SENTENCE}, {SENTENCE}"])
    assert str(of_texts.value) == (
        "query is ['how long does it clean on a full charge of its battery, how long does it clean ...; a query is "
        "one text; for several lists use rank_many"
    )
    with pytest.raises(RowRefused) as of_run:
        number_of(SENTENCE, "score")
    assert str(of_run.value) == "the score 'how long does it clean on a full charge ...' is not a number"
    (tmp_path / "no.parquet").write_bytes(b"no Parquet at all")
    with pytest.raises(InputError) as of_file:
        parquet_schema(str(tmp_path / "no.parquet"))
    assert "magic bytes not found in footer" in str(of_file.value)
    assert str(of_file.value).endswith(")")


def test_a_header_of_many_columns_is_looked_at_once() -> None:
    columns = [f"column {n}" for n in range(200_000)]
    started = time.perf_counter()
    check_columns("wide.csv", columns)
    with pytest.raises(InputError, match="has the column 'column 7' more than once"):
        check_columns("wide.csv", [*columns, "column 7"])
    assert time.perf_counter() - started < 2.0, "by counting each in all of them: minutes"
