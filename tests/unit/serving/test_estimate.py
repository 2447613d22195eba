"""What a request is thought to cost before it is tokenised, by hand.

How it could fail users: a request is refused for work that nobody will do, whenever it comes again; or is let in for a
part of what it costs.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.serving.estimate import RateWindow, estimated_tokens_C
from crossrank.serving.fan_out import estimate
from crossrank.serving.request import Cutting, ScoringRequest
from crossrank.serving.service import ScoringService

WINDOW = RateWindow(max_length=512, special_tokens=3, max_query_tokens=256)


def estimated(*documents: int, of: int = 20, ratio: float = 0.5, instruction: int = 0, **cutting: Any) -> list[float]:
    """The tokens of documents of so many characters, with a query of as many."""
    ask = ScoringRequest(
        queries=("q" * of,),
        documents=tuple("d" * num for num in documents),
        cutting=Cutting(**cutting),
        instruction="i" * instruction or None,
    )
    return estimated_tokens_C(ask, ratio, WINDOW).tolist()


def test_a_pair_is_its_query_its_document_and_the_special_tokens() -> None:
    assert estimated(100, 0) == [3 + 10 + 50, 3 + 10]


def test_a_document_counts_as_far_as_the_window_reads_it() -> None:
    assert estimated(998, 1_000, 10**6) == [512, 512, 512]


def test_a_query_of_twenty_thousand_characters_counts_as_far_as_it_may_be_read() -> None:
    # It was 20,000 characters for each of 100 documents: 700,000 tokens, and never let in.
    for may_be_cut in (True, False):  # not to be cut, it is refused when it is counted, and in these words
        assert estimated(*[100] * 100, of=20_000, query=may_be_cut) == [3 + 256 + 50] * 100


def test_limits_of_the_request_itself_count() -> None:
    assert estimated(1_000, of=200, max_tokens_per_query=30) == [3 + 30 + 479]
    assert estimated(1_000, 10, max_tokens_per_document=40) == [3 + 10 + 40, 3 + 10 + 5]


def test_every_chunk_has_the_query_again() -> None:
    # The window has room for 499 of 1,000 tokens beside the query.
    assert estimated(2_000, 100, long_document="chunk_max") == [1_000 + 3 * 13, 50 + 13]
    assert estimated(2_000, long_document="chunk_max", max_chunks_per_document=2) == [2 * 512]
    assert estimated(0, long_document="chunk_max") == [13]


def test_an_instruction_counts_for_each_document() -> None:
    assert estimated(100, 100, instruction=100) == [3 + 50 + 10 + 50] * 2
    assert estimated(100, instruction=10_000) == [512]


def test_pair_by_pair_each_document_counts_with_its_own_query() -> None:
    ask = ScoringRequest(queries=("q" * 20, "q" * 40), documents=("d" * 100, "d" * 10))
    assert estimated_tokens_C(ask, 0.5, WINDOW).tolist() == [3 + 10 + 50, 3 + 20 + 5]


@given(
    documents=st.lists(st.integers(0, 10**6), min_size=1, max_size=5),
    query=st.integers(0, 10**6),
    ratio=st.floats(0.1, 4.0),
    instruction=st.integers(0, 10_000),
    limit=st.none() | st.integers(1, 1_000),
)
def test_no_pair_is_thought_to_be_more_than_the_window(
    documents: list[int], query: int, ratio: float, instruction: int, limit: int | None
) -> None:
    found = estimated(*documents, of=query, ratio=ratio, instruction=instruction, max_tokens_per_document=limit)
    assert all(3 <= tokens <= 512 for tokens in found)


def test_a_request_is_split_by_the_same_estimate_over_the_measured_speed() -> None:
    class Measured:
        """A service of so many tokens a second, whose documents are thought to have 40 and 20."""

        def __init__(self, tokens_per_second: float) -> None:
            self.engine = SimpleNamespace(tokens_per_second=tokens_per_second)

        def estimated_tokens_C(self, ask: ScoringRequest) -> NDArray[np.float64]:
            return np.array([40.0, 20.0])

    ask = ScoringRequest(queries=("q",), documents=("a", "b"))
    assert estimate(cast(ScoringService, Measured(10.0)))(ask).tolist() == [4.0, 2.0]
    assert estimate(cast(ScoringService, Measured(0.0)))(ask).tolist() == [0.0, 0.0]
