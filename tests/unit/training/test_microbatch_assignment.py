"""Which rank computes which micro-batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from crossrank.training.microbatch_assignment import deal

COSTS = st.lists(st.integers(1, 100), max_size=40)


def test_the_costliest_goes_first_and_each_to_who_has_least() -> None:
    # 9 to the first, 7 to the second; 6 to the second (13), 5 to the first (14), 4 to the second (17), 2 to the
    # first (16). Of 33 the better half would be 16 and 17: this is it.
    assert deal([4, 9, 6, 2, 7, 5], 2) == [[1, 3, 5], [0, 2, 4]]


def test_one_rank_has_them_all_in_their_order() -> None:
    assert deal([1, 5, 3], 1) == [[0, 1, 2]]


def test_of_equal_ones_the_first_go_to_the_first_ranks() -> None:
    assert deal([5, 5, 5, 5, 5], 3) == [[0, 3], [1, 4], [2]]


def test_a_rank_may_have_none() -> None:
    assert deal([5, 7], 4) == [[1], [0], [], []]
    assert deal([], 2) == [[], []]


@given(COSTS, st.integers(1, 6))
def test_every_micro_batch_is_dealt_once(costs: list[int], num_ranks: int) -> None:
    hands = deal(costs, num_ranks)
    assert len(hands) == num_ranks
    assert sorted(number for hand in hands for number in hand) == list(range(len(costs)))
    assert all(hand == sorted(hand) for hand in hands)


@given(COSTS, st.integers(1, 6))
def test_no_rank_has_more_than_its_share_and_one_micro_batch(costs: list[int], num_ranks: int) -> None:
    # Whoever has most got the last while having least of all, which is at most an even share of the rest.
    totals = [sum(costs[number] for number in hand) for hand in deal(costs, num_ranks)]
    assert max(totals) <= sum(costs) / num_ranks + max(costs, default=0)


@given(COSTS, st.integers(1, 6))
def test_no_rank_is_idle_while_another_has_two(costs: list[int], num_ranks: int) -> None:
    counts = [len(hand) for hand in deal(costs, num_ranks)]
    assert min(counts) > 0 or max(counts) <= 1
