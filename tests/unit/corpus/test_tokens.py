"""Token ids kept on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossrank.corpus import tokens as tokens_module
from crossrank.corpus.store import TextStore
from crossrank.corpus.tokens import open_tokens
from tests.unit.stand_ins import OverlapEncoder, words_of

MakeStore = Callable[..., TextStore]

ROWS = (("d1", "red cat"), ("d2", "one two three four five"), ("d3", ""), ("d4", "blue"))


def wanted(*rows: bool) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return np.array(rows, dtype=bool)


def test_only_the_wanted_rows_have_tokens(make_store: MakeStore, tmp_path: Path) -> None:
    encoder = OverlapEncoder()
    tokens = open_tokens(tmp_path / "tokens", make_store(*ROWS), wanted(True, False, True, True), encoder)
    assert encoder.num_texts == 3
    assert [tokens[row].ids.tolist() for row in (0, 3)] == [
        words_of(text, 9).ids.tolist() for text in ("red cat", "blue")
    ]
    assert [len(tokens[row].ids) for row in range(4)] == [2, 0, 0, 1]
    assert tokens[0].ids.dtype == np.int32


def test_a_document_that_was_cut_keeps_its_whole_length(make_store: MakeStore, tmp_path: Path) -> None:
    tokens = open_tokens(tmp_path / "tokens", make_store(*ROWS), wanted(*[True] * 4), OverlapEncoder(max_length=3))
    assert (len(tokens[1].ids), tokens[1].total, tokens[1].overflow) == (3, 5, 2)
    assert (len(tokens[0].ids), tokens[0].total, tokens[0].overflow) == (2, 2, 0)


@pytest.mark.parametrize("rows", [ROWS, ()])
def test_no_tokens_at_all(make_store: MakeStore, tmp_path: Path, rows: tuple[tuple[str, str], ...]) -> None:
    tokens = open_tokens(tmp_path / "tokens", make_store(*rows), wanted(*[False] * len(rows)), OverlapEncoder())
    assert all(len(tokens[row].ids) == tokens[row].total == 0 for row in range(len(rows)))


def test_they_are_made_once_and_in_chunks(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens_module, "CHUNK_ROWS", 2)
    store, encoder = make_store(*ROWS), OverlapEncoder()
    for _ in range(2):
        tokens = open_tokens(tmp_path / "tokens", store, wanted(*[True] * 4), encoder)
        assert [tokens[row].total for row in range(4)] == [2, 5, 0, 1]
    assert encoder.num_texts == 4
