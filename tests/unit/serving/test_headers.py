"""What the headers of every answer tell."""

from __future__ import annotations

from crossrank.serving.headers import OF_TRUNCATION, answer_headers
from tests.unit.serving.dialects.asked import answer


def test_they_name_each_document_that_was_cut_with_its_tokens_and_what_the_query_lost() -> None:
    headers = answer_headers(answer(0.0, 0.0, 0.0, cut=[0, 40, 2], query_cut=7), "cpu", "abc")
    assert {name: headers[name] for name in OF_TRUNCATION} == {
        "x-truncated-documents": "2",
        "x-truncated": "1:40,2:2",
        "x-truncated-query": "7",
    }


def test_where_nothing_was_cut_they_say_so() -> None:
    headers = answer_headers(answer(0.0, 0.0), "cpu", "abc")
    assert (headers["x-truncated-documents"], headers["x-truncated-query"]) == ("0", "0")
    assert "x-truncated" not in headers


def test_of_ten_thousand_cut_documents_they_name_a_hundred() -> None:
    [named] = [answer_headers(answer(*[0.0] * 10_000, cut=[9_999] * 10_000), "cpu", "abc")["x-truncated"].split(",")]
    assert (len(named), named[0], named[-2], named[-1]) == (101, "0:9999", "99:9999", "...")
    exactly = answer_headers(answer(*[0.0] * 100, cut=[1] * 100), "cpu", "abc")["x-truncated"]
    assert exactly.endswith(",99:1")
