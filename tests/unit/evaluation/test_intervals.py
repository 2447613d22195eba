"""Intervals of a mean over queries: against what can be worked out by hand, and against the textbook."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from scipy import stats

from crossrank.evaluation.intervals import Mean, bootstrap_interval, mean_of, paired_difference


def test_queries_that_all_agree_leave_no_doubt() -> None:
    assert bootstrap_interval([0.5, 0.5, 0.5]) == (0.5, 0.5)


def test_two_queries_that_disagree_leave_everything_open() -> None:
    # Of the four draws of two queries one is (0, 0) and one is (1, 1): a quarter of the means each, ten times a tail.
    assert bootstrap_interval([0.0, 1.0]) == (0.0, 1.0)


def test_the_interval_of_many_queries_is_that_of_the_normal_distribution() -> None:
    # 400 queries answered and 400 not: deviation 0.5, so 1.96 * 0.5 / sqrt(800) = 0.0346 either way.
    low, high = bootstrap_interval([1.0, 0.0] * 400) or (math.nan, math.nan)
    assert low == pytest.approx(0.5 - 0.0346, abs=0.003)
    assert high == pytest.approx(0.5 + 0.0346, abs=0.003)


@pytest.mark.parametrize("kind", ["reciprocal ranks", "hits", "differences", "few"])
def test_the_interval_is_that_of_scipy(kind: str) -> None:
    draw = np.random.default_rng(4)
    values = {
        "reciprocal ranks": draw.choice([0, 0.1, 0.2, 0.25, 1 / 3, 0.5, 1.0], size=300),
        "hits": draw.choice([0.0, 1.0], p=[0.04, 0.96], size=500),
        "differences": draw.normal(0.03, 0.3, size=1000),
        "few": draw.random(12),
    }[kind]
    ours = bootstrap_interval(values, seed=1, resamples=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=0.95, method="percentile", rng=2
    ).confidence_interval
    # The quantile of 20,000 draws of a normal distribution is off by 0.019 deviations, and so is theirs.
    deviation = values.std() / math.sqrt(len(values))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=4 * math.sqrt(2) * 0.019 * deviation)


@pytest.mark.parametrize("values", [[], [0.7]])
def test_fewer_than_two_queries_have_no_interval(values: list[float]) -> None:
    assert bootstrap_interval(values) is None
    assert paired_difference(values, values) is None


def test_the_mean_of_one_query_is_given_without_an_interval() -> None:
    assert mean_of([0.7]) == Mean(0.7, None)


def test_a_mean_comes_with_its_interval() -> None:
    found = mean_of([0.0, 1.0, 1.0, 1.0])
    assert found.value == 0.75
    assert found.interval == bootstrap_interval([0.0, 1.0, 1.0, 1.0])


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(1).random(50)
    assert bootstrap_interval(values, seed=3) == bootstrap_interval(values, seed=3)
    assert bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)


def test_a_small_steady_gain_shows_in_the_difference_though_the_intervals_overlap() -> None:
    before = np.random.default_rng(2).random(200)
    after = before + 0.01
    overlap = (bootstrap_interval(before) or (0, 0))[1] > (bootstrap_interval(after) or (0, 0))[0]
    assert overlap
    found = paired_difference(after, before)
    assert found is not None
    assert found.value == pytest.approx(0.01)
    assert found.interval == pytest.approx((0.01, 0.01))


def test_a_difference_has_the_sign_of_the_first() -> None:
    # Each query gives -0.5 or 0, in equal parts.
    found = paired_difference([0.5, 0.0] * 50, [1.0, 0.0] * 50)
    assert found is not None
    assert found.value == -0.25
    assert found.interval is not None
    assert -0.5 < found.interval[0] < -0.25 < found.interval[1] < 0


def test_ten_thousand_queries_take_a_few_megabytes() -> None:
    values = np.random.default_rng(0).random(10_000)
    tracemalloc.start()
    bootstrap_interval(values, resamples=300)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6


def test_different_numbers_of_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="a has 2 queries and b 3; give the same queries to both"):
        paired_difference([0.1, 0.2], [0.1, 0.2, 0.3])


def test_no_queries_have_no_mean() -> None:
    with pytest.raises(ValueError, match="there are no queries to take the mean of; give at least 1"):
        mean_of([])


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="a value that is not finite; a query without a measure counts as 0"):
        bootstrap_interval([0.5, math.nan])


def test_values_of_several_measures_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the values have the shape \(2, 3\); give one number a query"):
        bootstrap_interval(np.zeros((2, 3)))
