"""Batches within a token budget."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.batching import Cost, cut
from crossrank.errors import UnitOverBudget

LENGTHS = st.lists(st.integers(1, 64), max_size=60)
BUDGETS = st.integers(64, 400)
COSTS = st.sampled_from(get_args(Cost))


def batches(lengths: list[int], budget: int, cost: Cost = "padded") -> list[list[int]]:
    return [batch.tolist() for batch in cut(lengths, budget, cost)]


def cost_of(batch: NDArray[np.int64], lengths: list[int], cost: Cost) -> int:
    taken = [lengths[unit] for unit in batch]
    return len(taken) * max(taken) if cost == "padded" else sum(taken)


def test_padded_batches_by_hand() -> None:
    # Longest first: 9 alone fills 10. Then 5 and 4: 2 x 5 = 10. Then 3, 3, 1: 3 x 3 = 9, a fourth would make 12.
    # Then the last 1.
    assert batches([3, 5, 1, 9, 3, 4, 1], budget=10) == [[3], [1, 5], [0, 4, 2], [6]]


def test_packed_batches_by_hand() -> None:
    # 9, and with 5 it would be 14. 5 + 4 = 9, with 3 it would be 12. 3 + 3 + 1 + 1 = 8.
    assert batches([3, 5, 1, 9, 3, 4, 1], budget=10, cost="packed") == [[3], [1, 5], [0, 4, 2, 6]]


def test_groups_of_several_rows_are_cut_by_hand() -> None:
    # Groups of 2, 3, 1 and 4 rows whose longest rows have 10, 8, 8 and 2 tokens. Padded to 10: 2 x 10 = 20; with the
    # next (2 + 3) x 10 = 50 > 40. Padded to 8: 3 x 8 = 24, (3 + 1) x 8 = 32, with the last (3 + 1 + 4) x 8 = 64 > 40.
    found = cut([10, 8, 8, 2], 40, "padded", "group", rows_U=[2, 3, 1, 4])
    assert [batch.tolist() for batch in found] == [[0], [1, 2], [3]]
    # Packed, a length is that of the whole group, and rows do not matter.
    found = cut([20, 15, 8, 6], 40, "packed", "group", rows_U=[2, 3, 1, 4])
    assert [batch.tolist() for batch in found] == [[0, 1], [2, 3]]


def test_a_group_whose_rows_together_are_over_the_budget_is_named() -> None:
    with pytest.raises(UnitOverBudget, match=r"^group 1 has 48 tokens, over the budget of 40"):
        cut([10, 8], 40, "padded", "group", rows_U=[2, 6])


def test_packed_batches_hold_more_than_padded_ones_where_lengths_differ() -> None:
    lengths = [50, *[1] * 50]
    assert len(batches(lengths, 100, "packed")) == 1
    assert [len(batch) for batch in batches(lengths, 100, "padded")] == [2, 49]


def test_a_batch_may_fill_the_budget_exactly() -> None:
    assert batches([5, 5], budget=10) == [[0, 1]]
    assert batches([5, 5], budget=9) == [[0], [1]]
    assert batches([10], budget=10) == [[0]]


def test_equal_lengths_keep_their_order() -> None:
    assert batches([2] * 7, budget=6) == [[0, 1, 2], [3, 4, 5], [6]]


def test_nothing_to_cut_gives_no_batches() -> None:
    assert cut([], 100) == []
    assert cut(np.zeros(0, dtype=np.int32), 100, "packed") == []


def test_units_without_tokens_are_batched_like_others() -> None:
    assert batches([0, 3, 0], budget=3, cost="packed") == [[1, 0, 2]]
    assert batches([0, 0], budget=3) == [[0, 1]]


def test_the_sum_of_int32_lengths_does_not_wrap() -> None:
    lengths = np.full(3, 2**30, dtype=np.int32)
    assert [batch.tolist() for batch in cut(lengths, 2**31, "packed")] == [[0, 1], [2]]
    assert [batch.tolist() for batch in cut(lengths, 2**31, "padded")] == [[0, 1], [2]]


@pytest.mark.parametrize("cost", get_args(Cost))
def test_a_unit_over_the_budget_is_named_and_nothing_is_dropped(cost: Cost) -> None:
    with pytest.raises(UnitOverBudget) as caught:
        cut([3, 70, 5, 80], 64, cost)
    assert str(caught.value).startswith("pair 3 has 80 tokens, over the budget of 64; shorten its documents")


def test_the_unit_is_called_what_the_caller_calls_it() -> None:
    with pytest.raises(UnitOverBudget, match="group 0 has 65 tokens"):
        cut([65], 64, unit="group")


@given(LENGTHS, BUDGETS, COSTS)
def test_every_unit_is_in_exactly_one_batch(lengths: list[int], budget: int, cost: Cost) -> None:
    together = [unit for batch in batches(lengths, budget, cost) for unit in batch]
    assert sorted(together) == list(range(len(lengths)))


@given(LENGTHS, BUDGETS, COSTS)
def test_no_batch_is_over_the_budget_and_none_is_empty(lengths: list[int], budget: int, cost: Cost) -> None:
    for batch in cut(lengths, budget, cost):
        assert len(batch) > 0
        assert cost_of(batch, lengths, cost) <= budget


@given(LENGTHS, BUDGETS, COSTS)
def test_the_longest_come_first(lengths: list[int], budget: int, cost: Cost) -> None:
    in_order = [lengths[unit] for batch in cut(lengths, budget, cost) for unit in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(LENGTHS, BUDGETS, COSTS)
def test_no_batch_has_room_for_the_unit_after_it(lengths: list[int], budget: int, cost: Cost) -> None:
    found = cut(lengths, budget, cost)
    for batch, following in pairwise(found):
        assert cost_of(np.append(batch, following[0]), lengths, cost) > budget


@given(LENGTHS, BUDGETS, COSTS)
def test_the_same_lengths_give_the_same_batches_whatever_holds_them(
    lengths: list[int], budget: int, cost: Cost
) -> None:
    once = batches(lengths, budget, cost)
    assert once == batches(lengths, budget, cost)
    assert once == [batch.tolist() for batch in cut(np.array(lengths, dtype=np.int32), budget, cost)]


@given(LENGTHS, BUDGETS, COSTS)
def test_scores_put_back_by_the_batches_are_in_input_order(lengths: list[int], budget: int, cost: Cost) -> None:
    scores = np.full(len(lengths), -1)
    for batch in cut(lengths, budget, cost):
        scores[batch] = np.array(lengths)[batch]
    assert scores.tolist() == lengths
