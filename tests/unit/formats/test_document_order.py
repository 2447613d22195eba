"""The order of a group's documents: what ranks say, and what stands in their place."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from crossrank.formats.document_order import by_rank, contradicts_ranks, has_ranks, initial_order, is_ranked
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


def test_a_document_that_is_listed_again_contradicts_by_its_best_rank_alone() -> None:
    a1, a3, b2 = Candidate("a", rank=1), Candidate("a", rank=3), Candidate("b", rank=2)
    assert not contradicts_ranks([a1, b2, a1])
    assert not contradicts_ranks([a3, a1, b2])
    assert contradicts_ranks([a3, b2, a1]), "rank 1 stands behind rank 2"


def test_an_initial_order_is_there_where_every_document_has_a_rank_and_these_differ() -> None:
    assert is_ranked(docs(2, 1))
    assert is_ranked(docs(0))
    assert not is_ranked(docs(1, None)), "as in a group that was mined for: its positives have none"
    assert not is_ranked(docs(0, 0, 0)), "a rank that all have says nothing, and the list may have positives first"
    assert not is_ranked(docs(None))
    assert has_ranks(docs(1, None))
    assert not has_ranks(docs(0, 0))


def ordered(query_id: str, some: Sequence[Candidate]) -> list[Candidate]:
    return [some[place] for place in initial_order(query_id, some, lambda place: some[place].text)]


def labelled(*texts: str) -> list[Candidate]:
    return [Candidate(f"id of {text}", text, label=float(place == 0)) for place, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [
        ([3, 1, 2], ["d1", "d2", "d0"]),
        ([None, None, 1, None], ["d2", "d0", "d1", "d3"]),
        ([0, None, 0, 0, None], ["d0", "d2", "d3", "d1", "d4"]),
        ([2, 1, 1, 1], ["d1", "d2", "d3", "d0"]),
    ],
)
def test_where_ranks_say_an_order_they_decide_and_the_list_decides_the_rest_though_there_are_labels(
    ranks: list[int | None], expected: list[str]
) -> None:
    some = [replace(doc, label=float(place == 0), text="the same") for place, doc in enumerate(docs(*ranks))]
    for query_id in ("q1", "q2", "q3"):
        assert ids(tuple(ordered(query_id, some))) == expected


@pytest.mark.parametrize("rank", [None, 0, 1])
def test_where_ranks_say_nothing_labelled_documents_stand_by_the_hash_and_others_as_they_are_listed(
    rank: int | None,
) -> None:
    some = [replace(doc, rank=rank) for doc in labelled(*(f"text {n}" for n in range(20)))]
    found = ordered("q1", some)
    assert found != some
    assert found == ordered("q1", some[::-1]), "whatever order they are given in"
    assert found != ordered("q2", some), "another query has another order"
    unlabelled = [replace(doc, label=None) for doc in some]
    assert ordered("q1", unlabelled) == unlabelled
    one_judged = [replace(doc, label=None) for doc in some[:-1]] + some[-1:]
    assert ids(tuple(ordered("q1", one_judged))) == ids(tuple(found)), "one label may be the reason of a whole order"


def test_of_equal_texts_the_ids_decide() -> None:
    some = [replace(doc, text="same") for doc in labelled("ab", "c")]
    assert ordered("q1", some) == ordered("q1", some[::-1])


def test_the_first_of_eight_is_by_a_hash_anywhere_alike() -> None:
    """1 in 8, over 2,000 queries: one over the rank has the mean (1 + 1/2 + ... + 1/8) / 8 = 0.340."""
    some = labelled("the positive", *(f"negative {n}" for n in range(7)))
    places = [ordered(f"q{n}", some).index(some[0]) for n in range(2000)]
    assert np.mean(1 / (1 + np.array(places))) == pytest.approx(0.340, abs=0.02)
    assert np.bincount(places, minlength=8).min() > 200
