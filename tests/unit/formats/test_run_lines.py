"""Runs that measure as we measured them, for whoever sorts them by score: trec_eval through pytrec_eval, and others.

How it could fail users: two scores that are one in 32 bits are sorted by document id, against our order.
"""

import math
from itertools import pairwise

import ir_measures
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ir_measures import RR

from crossrank.formats.run_lines import falling, run_lines

HIGHEST = float(np.finfo(np.float32).max)
LEAST = float(np.finfo(np.float32).smallest_normal)


def test_scores_that_fall_stand_as_they_were_given() -> None:
    assert run_lines("q", ["b", "a"], [0.30000000000000004, -1e-05]) == [
        "q Q0 b 1 0.30000000000000004 crossrank",
        "q Q0 a 2 -1e-05 crossrank",
    ]


def test_a_score_that_was_a_float_of_32_bits_has_its_few_digits() -> None:
    assert falling([float(np.float32(0.1)), float(np.float32(1e-7))]) == ["0.1", "1e-07"]


def test_a_tie_is_broken_by_one_step_and_the_next_lower_score_stands() -> None:
    first, second, third = falling([2.0, 2.0, 1.5])
    assert (first, third) == ("2.0", "1.5")
    assert np.float32(second) == np.nextafter(np.float32(2), np.float32(0))


def test_scores_that_differ_in_64_bits_alone_are_tied_for_trec_eval_and_so_are_broken() -> None:
    first, second = falling([0.3 + 1e-12, 0.3])
    assert first == repr(0.3 + 1e-12)
    assert np.float32(second) < np.float32(first), "0.3 itself would be the same float"


def test_zeros_of_either_sign_are_a_tie_and_no_score_is_so_small_that_a_processor_may_take_it_for_zero() -> None:
    zero, second, third = map(float, falling([0.0, -0.0, 0.0]))
    assert zero == 0
    assert third < second <= -LEAST


def test_scores_beyond_32_bits_keep_their_order_and_stay_numbers() -> None:
    made = [np.float32(score) for score in falling([1e300, 1e299, 5.0, -1e300, -1e300, -HIGHEST])]
    assert all(map(math.isfinite, made))
    assert made[0] == np.float32(HIGHEST)
    assert made[2] == 5
    assert made[-1] == np.float32(-HIGHEST), "the lowest float has the last place, and those before it stand above"
    assert all(later < earlier for earlier, later in pairwise(made))


scores = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1e-45, -1e-45, 0.5, math.nextafter(0.5, 1), 1e38, HIGHEST, -HIGHEST, 1e300, -1e300]
)


@given(st.lists(scores, max_size=30))
@example([0.5] * 30)
@example([-1e300] * 30)
@example([1e300] * 30)
def test_any_ranking_falls_strictly_in_32_bits_and_in_64(given: list[float]) -> None:
    text = falling(given)
    for read in (np.array(text, dtype=np.float64), np.array(text, dtype=np.float64).astype(np.float32)):
        assert np.isfinite(read).all()
        assert (read[1:] < read[:-1]).all()
    in_32_bits = np.clip(given, -HIGHEST, HIGHEST).astype(np.float32)
    without_tiny = np.where(np.abs(in_32_bits) < LEAST, 0, in_32_bits)
    if (without_tiny[1:] < without_tiny[:-1]).all():
        assert np.array_equal(np.array(text, dtype=np.float64).astype(np.float32), in_32_bits), "nothing to break"


@pytest.mark.parametrize("score", [1.0, 0.0, -0.0, 1e-45, HIGHEST, -HIGHEST, 1e300, 20.5])
def test_a_run_of_ties_measures_by_trec_eval_as_its_order_says(score: float) -> None:
    """Document ids fall along the ranking, and then rise: trec_eval takes the higher of two ties first, others the
    lower, so one of the two would be wrong by either."""
    for names in ([f"d{n:03}" for n in range(200)], [f"d{n:03}" for n in range(200)][::-1]):
        lines = run_lines("q", names, [score] * len(names))
        run = list(ir_measures.read_trec_run("\n".join(lines)))  # type: ignore[no-untyped-call]
        for place in (0, 1, 7, 99, 198, 199):
            [found] = ir_measures.iter_calc([RR], [ir_measures.Qrel("q", names[place], 1)], run)
            assert found.value == pytest.approx(1 / (place + 1))
