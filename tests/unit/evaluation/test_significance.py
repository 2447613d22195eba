"""Whether a difference is chance: exchanged signs, and several comparisons at once."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crossrank.evaluation.significance import holm, randomisation_test

NUM_DATA_SETS = 1000
LEVEL = 0.05


def test_three_queries_that_all_got_better_by_hand() -> None:
    # Of the 8 ways to toss three coins, two give a mean as far from 0: all heads and all tails.
    assert randomisation_test([1, 1, 1], [0, 0.5, 0.25]) == 2 / 8


def test_one_worse_and_two_better_by_hand() -> None:
    # Differences 3, 2, -1: sums of all signs are 6, 4, 2, 0 and their negatives; |4| and |6| are as far as 4.
    assert randomisation_test([3, 2, 0], [0, 0, 1]) == 4 / 8


def test_equal_rankings_do_not_differ() -> None:
    assert randomisation_test([0.3, 0.5], [0.3, 0.5]) == 1
    assert randomisation_test([], []) == 1


def test_queries_that_are_equal_change_nothing() -> None:
    few = randomisation_test([1, 1, 1, 0], [0, 0, 0, 1])
    assert randomisation_test([1, 1, 1, 0] + [0.5] * 50, [0, 0, 0, 1] + [0.5] * 50) == few


def test_it_agrees_with_another_implementation() -> None:
    draw = np.random.default_rng(5)
    for shift in (0.0, 0.02, 0.05):
        a = draw.random(200)
        b = a + draw.normal(shift, 0.2, 200)
        theirs = stats.permutation_test(
            (a - b,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=20_000, rng=1
        ).pvalue
        # Two estimates from 10,000 and 20,000 tosses: 0.006 apart by chance in 1 of 100 cases where p is near a half.
        assert randomisation_test(a, b) == pytest.approx(theirs, abs=0.02)


def test_few_queries_are_tossed_in_every_way_and_many_by_drawing_with_nearly_the_same_result() -> None:
    draw = np.random.default_rng(3)
    for seed in range(20):
        a, b = draw.random(13), draw.random(13)
        drawn = randomisation_test(np.append(a, [0.5, 0.5]) + 0, np.append(b, [0.5, 0.5]), seed)
        assert drawn == randomisation_test(a, b), "13 that differ are tossed exactly"
        exact = stats.permutation_test(
            (a - b,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", n_resamples=10_000
        ).pvalue
        assert drawn == pytest.approx(exact, abs=1e-9)


def test_the_same_seed_gives_the_same_and_it_is_never_zero() -> None:
    a, b = np.ones(100), np.zeros(100)
    assert randomisation_test(a, b, seed=1) == randomisation_test(a, b, seed=1) == 1 / 10_001


def test_which_of_the_two_is_first_does_not_matter() -> None:
    draw = np.random.default_rng(8)
    a, b = draw.random(60), draw.random(60)
    assert randomisation_test(a, b) == randomisation_test(b, a)


def test_two_models_that_are_equally_good_are_told_apart_in_one_of_twenty_data_sets() -> None:
    draw = np.random.default_rng(11)
    found = 0
    for _ in range(NUM_DATA_SETS):
        a, b = (draw.choice([0, 0.2, 0.25, 0.33, 0.5, 1.0], size=100) for _ in range(2))
        found += randomisation_test(a, b, resamples=999) < LEVEL
    assert found <= 0.07 * NUM_DATA_SETS
    assert found > 0.02 * NUM_DATA_SETS, "a test that never says so would pass as well"


def test_a_true_difference_of_three_hundredths_over_a_thousand_queries_is_found_in_four_of_five() -> None:
    draw = np.random.default_rng(12)
    differences = [draw.normal(0.03, 0.3, size=1000) for _ in range(200)]
    found = sum(randomisation_test(each, np.zeros(1000), resamples=999) < LEVEL for each in differences)
    assert found >= 0.8 * 200


def test_other_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="a has 3 queries and b 2"):
        randomisation_test([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="not finite"):
        randomisation_test([1, float("nan")], [1, 2])


def test_several_comparisons_are_judged_more_strictly_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1, and none below the one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([]) == []
