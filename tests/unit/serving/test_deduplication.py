"""How it could fail users: a repeated document gets another's score, or a refusal tells the wrong number of one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from crossrank.serving.deduplication import score_once
from crossrank.serving.request import Cutting, ScoringRequest, ScoringResponse, Timing


def scored(ask: ScoringRequest) -> tuple[ScoringResponse, list[ScoringRequest]]:
    """The answer, where the score of a pair is read from its texts, and what was asked for it."""
    seen: list[ScoringRequest] = []

    async def score(ask: ScoringRequest) -> ScoringResponse:
        seen.append(ask)
        queries = ask.queries * len(ask.documents) if len(ask.queries) == 1 else ask.queries
        numbers = [float(query + text) for query, text in zip(queries, ask.documents, strict=True)]
        counts = np.array(numbers, dtype=np.int32)
        timing = Timing(0.0, 0.0, 0.0, 0.0)
        return ScoringResponse(
            np.array(numbers, dtype=np.float32), counts, counts + 1, counts + 2, 0, ask.num_characters, timing
        )

    return asyncio.run(score_once(score, ask)), seen


def test_a_document_that_stands_three_times_is_scored_once_and_told_three_times() -> None:
    answer, seen = scored(ScoringRequest(queries=("1",), documents=("7", "5", "7", "6", "7")))
    assert [ask.documents for ask in seen] == [("7", "5", "6")]
    assert answer.logits_C.tolist() == [17, 15, 17, 16, 17]
    assert answer.tokens_C.tolist() == [17, 15, 17, 16, 17]
    assert answer.cut_C.tolist() == [18, 16, 18, 17, 18]
    assert answer.chunks_C.tolist() == [19, 17, 19, 18, 19]
    assert answer.num_characters == 10  # the query is there for each document


def test_the_same_document_under_two_queries_is_two_pairs() -> None:
    answer, seen = scored(ScoringRequest(queries=("1", "2", "1"), documents=("7", "7", "7")))
    assert [(ask.queries, ask.documents) for ask in seen] == [(("1", "2"), ("7", "7"))]
    assert answer.logits_C.tolist() == [17, 27, 17]


@pytest.mark.parametrize("documents", [("7",), ("7", "5", "6"), ()])
def test_documents_that_are_all_different_are_asked_for_as_they_came(documents: tuple[str, ...]) -> None:
    ask = ScoringRequest(queries=("1",), documents=documents)
    _, seen = scored(ask)
    assert seen == [ask]


def test_where_a_refusal_would_tell_the_number_of_a_document_none_is_taken_out() -> None:
    ask = ScoringRequest(queries=("1",), documents=("7", "7", "5"), cutting=Cutting(documents=False))
    _, seen = scored(ask)
    assert seen == [ask]
