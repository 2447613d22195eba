"""Which documents are the query itself."""

from __future__ import annotations

import unicodedata

import pytest

from crossrank.retrieval.query_documents import AskedQuery

QUERY = "배터리는 얼마나 가나요?"


@pytest.mark.parametrize(
    ("doc_id", "text", "by"),
    [
        ("q1", "anything else", "id"),
        ("d1", QUERY, "text"),
        ("d1", f"  {QUERY}\n", "text"),
        ("d1", unicodedata.normalize("NFD", QUERY), "text"),
        ("d1", "배터리는  얼마나\t가나요？", "text"),
        ("d1", f"{QUERY} 네 시간입니다.", None),
        ("d1", "배터리는", None),
        ("d1", "", None),
        ("Q1", "anything else", None),
        ("d1", None, None),
    ],
)
def test_a_document_is_the_query_by_its_id_or_by_its_text_however_it_is_written(
    doc_id: str, text: str | None, by: str | None
) -> None:
    assert AskedQuery.of("q1", QUERY).found_in(doc_id, text) == by


def test_case_and_space_do_not_matter_and_signs_do() -> None:
    asked = AskedQuery.of("q", "What is C++?")
    assert asked.found_in("d", "WHAT  IS c++?") == "text"
    assert asked.found_in("d", "What is C#?") is None, "another question"
    assert asked.found_in("d", "What is C?") is None


def test_a_text_that_is_padded_with_space_is_still_the_query() -> None:
    assert AskedQuery.of("q", "why").found_in("d", f"{' ' * 50}why{' ' * 50}") == "text"


def test_a_query_without_a_text_is_like_no_document() -> None:
    assert AskedQuery.of("q", "  ").found_in("d", "  ") is None


def test_a_text_alone_or_with_its_title_will_do() -> None:
    asked = AskedQuery.of("q", "Cats sleep")
    assert asked.found_in("d", "sleep", "Cats sleep") == "text"
    assert asked.found_in("d", "Cats sleep", "On cats Cats sleep") == "text"
