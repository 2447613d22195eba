"""The sample that ships with the package is what the demo says of it."""

from __future__ import annotations

import json

import pytest

from crossrank.demo.sample import FOLDER, DemoSample, read_sample
from crossrank.retrieval.analysis import analyser

LANGUAGES = ("en", "ko")
FEW = 0.25
"""Share of a question's words, as BM25 takes them, that its passage has too: few, for a paraphrase."""


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def halves(language: str) -> tuple[DemoSample, DemoSample]:
    return read_sample(language, "train"), read_sample(language, "test")


def shared(language: str, question: str, passage: str) -> float:
    """Share of the distinct terms of a question that its passage has."""
    terms = analyser(language)
    asked = set(terms(question))
    return len(asked & set(terms(passage))) / max(len(asked), 1)


def test_it_has_120_passages_and_360_questions_each_judged(halves: tuple[DemoSample, DemoSample]) -> None:
    train, test = halves
    assert train.documents == test.documents
    assert len(train.documents) >= 120
    assert len(set(train.documents.values())) == len(train.documents)
    assert len(train.queries) + len(test.queries) >= 360
    for half in halves:
        assert half.relevant.keys() == half.queries.keys()
        assert set(half.relevant.values()) <= half.documents.keys()
        assert all(text.strip() for text in [*half.documents.values(), *half.queries.values()])


def test_no_passage_that_is_measured_with_is_asked_about_in_training(halves: tuple[DemoSample, DemoSample]) -> None:
    train, test = halves
    assert not set(train.relevant.values()) & set(test.relevant.values())
    assert not train.queries.keys() & test.queries.keys()
    assert not set(train.queries.values()) & set(test.queries.values())
    assert len(test.queries) == len(train.queries)


def test_half_of_the_questions_are_paraphrases_that_share_few_words(
    halves: tuple[DemoSample, DemoSample], language: str
) -> None:
    for half in halves:
        overlaps = [shared(language, half.queries[q], half.documents[d]) for q, d in half.relevant.items()]
        assert sum(overlap <= FEW for overlap in overlaps) >= len(overlaps) / 2


def test_what_is_called_a_paraphrase_shares_less_than_what_is_called_direct(language: str) -> None:
    lines = (FOLDER / language / "queries.jsonl").read_text(encoding="utf-8").split("\n")
    kinds = {row["_id"]: row["metadata"]["kind"] for row in map(json.loads, filter(None, lines))}
    assert list(kinds.values()).count("paraphrase") >= len(kinds) / 2
    means = {}
    for kind in ("paraphrase", "direct"):
        overlaps = [
            shared(language, half.queries[q], half.documents[d])
            for half in (read_sample(language, "train"), read_sample(language, "test"))
            for q, d in half.relevant.items()
            if kinds[q] == kind
        ]
        means[kind] = sum(overlaps) / len(overlaps)
    assert means["paraphrase"] < means["direct"] / 1.5, means


def test_the_languages_ask_the_same_of_the_same() -> None:
    for split in ("train", "test"):
        english, korean = (read_sample(language, split) for language in LANGUAGES)
        assert english.relevant == korean.relevant
        assert english.documents.keys() == korean.documents.keys()
        assert not set(english.queries.values()) & set(korean.queries.values())
