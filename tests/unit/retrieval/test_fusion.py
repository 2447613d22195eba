"""Rankings fused by their ranks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.retrieval.fusion import reciprocal_ranks


def ranking(*rows: int) -> NDArray[np.int32]:
    return np.array(rows, dtype=np.int32)


def test_scores_are_sums_of_reciprocal_ranks_from_61_on() -> None:
    rows, scores = reciprocal_ranks([ranking(7, 5), ranking(5, 9)])
    # 5 is second and first, 7 is first, 9 is second.
    assert rows.tolist() == [5, 7, 9]
    assert scores.tolist() == pytest.approx([1 / 62 + 1 / 61, 1 / 61, 1 / 62])


def test_found_by_both_far_down_beats_found_by_one_at_the_top() -> None:
    rows, _ = reciprocal_ranks([ranking(1, 2, 3), ranking(4, 5, 3)])
    assert rows.tolist()[0] == 3  # 2 / 63 = 0.0317 against 1 / 61 = 0.0164


def test_of_equal_scores_the_lower_row_comes_first_whichever_ranking_is_named_first() -> None:
    one, other = ranking(9, 4), ranking(4, 9)
    for rankings in ([one, other], [other, one]):
        rows, scores = reciprocal_ranks(rankings)
        assert rows.tolist() == [4, 9]
        assert scores[0] == scores[1]


def test_the_order_of_three_rankings_does_not_change_a_bit_of_a_sum() -> None:
    three = [ranking(1, 2, 3), ranking(3, 1, 2), ranking(2, 3, 1)]
    expected = reciprocal_ranks(three)[1].tobytes()
    for order in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        rows, scores = reciprocal_ranks([three[n] for n in order])
        assert rows.tolist() == [1, 2, 3]
        assert scores.tobytes() == expected


def test_one_ranking_keeps_its_order_and_none_gives_nothing() -> None:
    assert reciprocal_ranks([ranking(8, 3, 5)])[0].tolist() == [8, 3, 5]
    assert reciprocal_ranks([])[0].tolist() == []
    assert reciprocal_ranks([ranking(), ranking(2)])[0].tolist() == [2]
