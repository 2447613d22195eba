"""The order of a group's documents: what ranks say, and what stands in their place."""

import numpy as np
import pytest

from crossrank.order import by_hash, by_rank, contradicts_ranks, has_ranks, is_ranked
from crossrank.records import Candidate


def docs(*ranks: int | None) -> list[Candidate]:
    return [Candidate(f"d{place}", rank=rank) for place, rank in enumerate(ranks)]


def ids(some: tuple[Candidate, ...]) -> list[str]:
    return [doc.doc_id for doc in some]


@pytest.mark.parametrize(
    ("ranks", "ordered"),
    [
        ([3, 1, 2], ["d1", "d2", "d0"]),
        ([2, 0, 1], ["d1", "d2", "d0"]),
        ([None, 2, None, 1], ["d3", "d1", "d0", "d2"]),
        ([5, 5, 1, 5], ["d2", "d0", "d1", "d3"]),
        ([None, None], ["d0", "d1"]),
        ([None, 0], ["d1", "d0"]),
        ([], []),
    ],
)
def test_ranks_decide_from_0_or_from_1_those_without_follow_and_equal_ones_keep_the_list(
    ranks: list[int | None], ordered: list[str]
) -> None:
    assert ids(by_rank(docs(*ranks))) == ordered


def test_a_contradiction_is_between_two_ranks_and_not_with_a_document_that_has_none() -> None:
    assert contradicts_ranks(docs(2, 1))
    assert contradicts_ranks(docs(2, None, 1))
    assert not contradicts_ranks(docs(None, 1, None, 2, 2))
    assert not contradicts_ranks(docs(None, None))


def test_an_initial_order_is_there_where_every_document_has_a_rank_and_these_differ() -> None:
    assert is_ranked(docs(2, 1))
    assert is_ranked(docs(0))
    assert not is_ranked(docs(1, None)), "as in a group that was mined for: its positives have none"
    assert not is_ranked(docs(0, 0, 0)), "a rank that all have says nothing, and the list may have positives first"
    assert not is_ranked(docs(None))
    assert has_ranks(docs(1, None))
    assert not has_ranks(docs(0, 0))


def test_the_order_by_a_hash_is_the_same_whatever_order_it_is_given_in() -> None:
    texts = [f"text {n}" for n in range(20)]
    found = by_hash("q1", texts, lambda text: (text, text))
    assert found == by_hash("q1", texts[::-1], lambda text: (text, text))
    assert found != texts
    assert found != by_hash("q2", texts, lambda text: (text, text)), "another query has another order"
    assert by_hash("q1", ["ab", "c"], lambda text: ("same", text)) == by_hash(
        "q1", ["c", "ab"], lambda text: ("same", text)
    ), "of equal texts the ids decide"


def test_the_first_of_eight_is_by_a_hash_anywhere_alike() -> None:
    """1 in 8, over 2,000 queries: one over the rank has the mean (1 + 1/2 + ... + 1/8) / 8 = 0.340."""
    texts = ["the positive", *(f"negative {n}" for n in range(7))]
    places = [by_hash(f"q{n}", texts, lambda text: (text, text)).index("the positive") for n in range(2000)]
    assert np.mean(1 / (1 + np.array(places))) == pytest.approx(0.340, abs=0.02)
    assert np.bincount(places, minlength=8).min() > 200
