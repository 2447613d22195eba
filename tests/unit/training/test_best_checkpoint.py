"""Which checkpoint is the best, and when training stops."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.training.best_checkpoint import MOST_TIED, Best, Validated
from crossrank.training.best_checkpoint import best_of as best_of_validated

VALUES = st.dictionaries(st.integers(1, 50), st.sampled_from([0.1, 0.2, 0.3]), max_size=12)


def best_of(values: dict[int, float], patience: int) -> Best:
    """Of checkpoints without ties."""
    return best_of_validated({step: Validated(value, 0.0) for step, value in values.items()}, patience)


def test_before_the_first_result_there_is_no_best() -> None:
    assert best_of({}, 1) == Best(None, False)


def test_the_highest_is_the_best() -> None:
    assert best_of({100: 0.5, 200: 0.7, 300: 0.6}, 0).step == 200


def test_of_equal_ones_the_earliest_is_the_best() -> None:
    assert best_of({100: 0.5, 200: 0.7, 300: 0.7}, 0).step == 200


@pytest.mark.parametrize(
    ("values", "is_out"),
    [
        ([0.5], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.4], True),
        ([0.5, 0.5, 0.5], True),  # equal is not better
        ([0.5, 0.4, 0.6], False),  # it begins to count anew
        ([0.5, 0.4, 0.6, 0.5], False),
        ([0.5, 0.4, 0.6, 0.5, 0.5], True),
        ([0.1, 0.2, 0.3, 0.4], False),
    ],
)
def test_patience_of_2_is_out_after_two_without_a_better_one(values: list[float], is_out: bool) -> None:
    assert best_of({100 * place: value for place, value in enumerate(values, start=1)}, 2).patience_is_out is is_out


def test_patience_that_was_out_may_come_back_where_a_later_one_is_better() -> None:
    # A run that went on, because validations were late, is judged by all of them.
    assert best_of({1: 0.5, 2: 0.4, 3: 0.6}, 1) == Best(3, False)


def test_a_checkpoint_that_gives_over_half_of_the_documents_one_score_is_never_the_best() -> None:
    tied = Validated(1.0, MOST_TIED + 0.01)
    assert best_of_validated({100: tied, 200: Validated(0.3, MOST_TIED), 300: tied}, 0).step == 200
    assert best_of_validated({100: tied}, 0).step is None, "so that the base stays"


def test_checkpoints_that_tie_are_not_better_so_patience_runs_out() -> None:
    tied = Validated(1.0, 1.0)
    assert best_of_validated({100: Validated(0.5, 0.0), 200: tied, 300: tied}, 2) == Best(100, True)
    assert best_of_validated({100: tied, 200: tied}, 2) == Best(None, True)


def test_patience_of_0_never_stops_it() -> None:
    assert not best_of(dict.fromkeys(range(1, 1000), 0.5), 0).patience_is_out


@given(VALUES, st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_order_in_which_results_came_does_not_matter(values: dict[int, float], patience: int, draw: object) -> None:
    shuffled = list(values.items())
    draw.shuffle(shuffled)  # type: ignore[attr-defined]
    given_ = dict(shuffled)
    assert best_of(given_, patience) == best_of(values, patience)
    assert given_ == values, "and nothing is changed"
