"""Large requests are tokenised in steps.

How it could fail users: a text is lost between two steps, or read twice; one request holds up all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.serving import incremental
from crossrank.serving.incremental import all_of, in_steps, one_of, tokenised


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of twenty characters, whose ends are looked for among the last eight."""
    monkeypatch.setattr(incremental, "STEP_CHARACTERS", 20)
    monkeypatch.setattr(incremental, "SEAM_CHARACTERS", 8)


def characters(texts: Sequence[str], before: int) -> list[list[tuple[int, str]]]:
    """Every character is a token, and knows its place in the whole text."""
    return [[(before + place, character) for place, character in enumerate(text)] for text in texts]


def test_documents_are_put_together_up_to_a_step_and_a_long_one_stands_alone() -> None:
    assert list(in_steps(np.array([10, 10, 1, 50, 0, 20]))) == [(0, 2), (2, 3), (3, 4), (4, 6)]
    assert list(in_steps(np.array([], dtype=np.int64))) == []


@given(st.lists(st.integers(0, 60), max_size=30))
def test_each_document_is_in_one_step(lengths: list[int]) -> None:
    spans = list(in_steps(np.array(lengths, dtype=np.int64)))
    assert [place for first, end in spans for place in range(first, end)] == list(range(len(lengths)))
    assert all(end - first == 1 or sum(lengths[first:end]) <= 20 for first, end in spans)


@given(st.text(alphabet="ab \n가", max_size=200))
def test_a_long_text_is_read_whole_and_each_token_knows_its_place(text: str) -> None:
    assert all_of(tokenised([text], characters)) == [list(enumerate(text))]


def parts_of(text: str, enough: int | None = None) -> list[str]:
    read: list[str] = []

    def note(texts: Sequence[str], before: int) -> list[list[str]]:
        read.extend(texts)
        return [list(each) for each in texts]

    all_of(tokenised([text], note, enough))
    return read


def test_a_long_text_is_parted_before_a_lone_space_or_where_there_is_none() -> None:
    assert parts_of("aaaaa bbbbb ccccc ddddd eeeee") == ["aaaaa bbbbb ccccc", " ddddd eeeee"]
    assert parts_of("a" * 45) == ["a" * 20, "a" * 20, "a" * 5]
    assert parts_of("aaaaa bbbbb  cccccccccccc") == ["aaaaa bbbbb  ccccccc", "ccccc"]  # two spaces may be one token


def test_nobody_reads_on_once_a_text_has_enough_tokens() -> None:
    assert parts_of("a" * 100, enough=20) == ["a" * 20, "a" * 20]
    assert parts_of("a" * 100, enough=19) == ["a" * 20]


def test_others_come_between_the_parts_of_a_text() -> None:
    work = tokenised(["a" * 45], characters)
    assert [one_of(work) is None for _ in range(3)] == [True, True, False]
