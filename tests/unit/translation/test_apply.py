"""A group in another language: nothing lost, nothing passed off as a translation."""

from __future__ import annotations

from crossrank.records import Candidate, Group
from crossrank.translation.apply import FLAG, Figures, texts_of, translated
from crossrank.translation.backend import Outcome
from crossrank.translation.origin import origin_of_document, origin_of_query

GROUP = Group(
    "q1",
    "a query",
    (
        Candidate("d1", "good text", "a title", label=1.0, rank=3, score=0.5, teacher_score=2.0, source="bm25"),
        Candidate("d2", "bad text", label=0.0, flags=("other",), meta={"note": 1}),
        Candidate("d3", None, label=None),
        Candidate("d4", "   ", label=0.0),
    ),
    split="train",
    meta={"prompt": "p"},
)
ALL = {text: Outcome(f"<{text}>") for text in ("a query", "good text", "a title", "bad text")}


def done(outcomes: dict[str, Outcome]) -> tuple[Group, Figures]:
    figures = Figures()
    return translated(GROUP, outcomes, "en", "ko", figures), figures


def test_the_texts_of_a_group_are_query_titles_and_texts_that_say_something() -> None:
    assert list(texts_of(GROUP)) == ["a query", "a title", "good text", "bad text"]


def test_everything_but_the_texts_stays_and_what_they_were_is_kept() -> None:
    group, figures = done(ALL)
    assert (group.query_id, group.query, group.lang, group.split) == ("q1", "<a query>", "ko", "train")
    first = group.docs[0]
    assert (first.doc_id, first.title, first.text) == ("d1", "<a title>", "<good text>")
    assert (first.label, first.rank, first.score, first.teacher_score, first.source) == (1.0, 3, 0.5, 2.0, "bm25")
    assert group.meta == {"prompt": "p", "origin": {"lang": "en", "query": "a query"}}
    assert origin_of_query(group) == "a query"
    assert origin_of_document(first) == "a title good text"
    assert group.docs[1].meta == {"note": 1, "origin": {"title": None, "text": "bad text"}}
    assert [doc.doc_id for doc in group.docs] == ["d1", "d2", "d3", "d4"]
    assert [doc.flags for doc in group.docs] == [(), ("other",), (), ()]
    assert figures == Figures(1, 4, 3, 0, 0, 1)


def test_an_origin_of_somebody_else_or_of_an_earlier_translation_is_kept_below_ours() -> None:
    figures = Figures()
    theirs = Group("q", "a query", (), meta={"origin": "a web crawl"})
    once = translated(theirs, ALL, "en", "ko", figures)
    assert once.meta == {"origin": {"lang": "en", "query": "a query", "origin": "a web crawl"}}
    twice = translated(once, {"<a query>": Outcome("<<a query>>")}, "ko", "de", figures)
    assert twice.meta == {"origin": {"lang": "ko", "query": "<a query>", **once.meta}}
    assert origin_of_query(twice) == "<a query>"


def test_a_document_without_text_is_left_as_it_is_and_counted() -> None:
    group, figures = done(ALL)
    assert group.docs[2] == GROUP.docs[2]
    assert group.docs[3].text == "   "
    assert figures.documents_without_text == 1


def test_a_text_that_failed_flags_its_document_with_the_reason_and_is_never_passed_off() -> None:
    # The original pipeline wrote "err" here, and trained on it.
    group, figures = done(ALL | {"bad text": Outcome(None, "invalid")})
    second = group.docs[1]
    assert second.text == "bad text"
    assert second.flags == ("other", FLAG)
    assert second.meta[FLAG] == "text: invalid"
    assert group.docs[0].flags == ()
    assert (figures.flagged_documents, figures.failed_queries) == (1, 0)


def test_a_title_that_failed_flags_its_document_too() -> None:
    group, _ = done(ALL | {"a title": Outcome(None, "invalid")})
    assert group.docs[0].flags == (FLAG,)
    assert (group.docs[0].title, group.docs[0].text) == ("a title", "<good text>")
    assert group.docs[0].meta[FLAG] == "title: invalid"


def test_a_query_that_failed_flags_every_document() -> None:
    group, figures = done(ALL | {"a query": Outcome(None, "invalid")})
    assert group.query == "a query"
    assert group.meta[FLAG] == "query: invalid"
    assert all(FLAG in doc.flags for doc in group.docs)
    assert (figures.flagged_documents, figures.failed_queries) == (4, 1)
