"""Which groups a step trains on, and which of their documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.corpus.ids import hash_id
from crossrank.training.sampler import ALL, Sampler, documents_of, seed_of

NAN = float("nan")
LABELS = st.lists(st.sampled_from([1.0, 0.5, 3.0, 0.0, -1.0, NAN]), max_size=20)
SIZES = st.integers(2, 12)
WHO = hash_id("q1")


def labels_of(*labels: float) -> NDArray[np.float32]:
    return np.array(labels, dtype=np.float32)


def drawn(labels: Any, size: int, epoch: int = 0, seed: int = 42, who: int = WHO) -> list[int]:
    return documents_of(labels_of(*labels), size, seed, epoch, who).tolist()


def epoch_of(sampler: Sampler, epoch: int) -> list[int]:
    """The groups of all steps of an epoch, in order."""
    first = epoch * sampler.steps_per_epoch
    return [group for step in range(first, first + sampler.steps_per_epoch) for group in sampler.groups(step).tolist()]


# groups


@given(st.integers(1, 100), st.integers(1, 120), st.integers(0, 2**63), st.integers(0, 5))
def test_every_group_comes_once_an_epoch(num_groups: int, groups_per_step: int, seed: int, epoch: int) -> None:
    assert sorted(epoch_of(Sampler(num_groups, groups_per_step, seed), epoch)) == list(range(num_groups))


@pytest.mark.parametrize(
    ("num_groups", "groups_per_step", "sizes"),
    # 10 = 4 + 4 + 2: the last is smaller, and no step is empty where it comes out even.
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (4, 1, [1, 1, 1, 1])],
)
def test_the_last_step_of_an_epoch_has_what_is_left(num_groups: int, groups_per_step: int, sizes: list[int]) -> None:
    sampler = Sampler(num_groups, groups_per_step, 0)
    assert sampler.steps_per_epoch == len(sizes)
    assert [len(sampler.groups(step)) for step in range(2 * len(sizes))] == sizes * 2, "and the next one has too"


def test_steps_are_counted_through_all_epochs() -> None:
    sampler = Sampler(10, 4, 0)
    assert [sampler.epoch(step) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_another_epoch_and_another_seed_have_another_order() -> None:
    orders = [tuple(epoch_of(Sampler(50, 7, seed), epoch)) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(orders)) == 6
    assert tuple(range(50)) not in orders


def test_how_many_groups_a_step_has_does_not_change_their_order() -> None:
    assert epoch_of(Sampler(50, 7, 42), 1) == epoch_of(Sampler(50, 50, 42), 1)


def test_a_step_is_the_same_whatever_was_asked_before() -> None:
    # A run that is resumed begins in the middle; the cache of orders is small enough to be emptied here.
    in_order = [Sampler(30, 7, 3).groups(step).tolist() for step in range(20)]
    backwards = [Sampler(30, 7, 3).groups(step).tolist() for step in reversed(range(20))]
    assert in_order == backwards[::-1]


def test_a_caller_cannot_spoil_the_order_for_the_next() -> None:
    groups = Sampler(10, 4, 42).groups(0)
    with pytest.raises(ValueError, match="read-only"):
        groups[0] = 7


def test_the_order_of_groups_never_changes_silently() -> None:
    # What this version drew when it was written. If numpy or we draw otherwise, a run that is resumed after an update
    # trains on other groups: raise FORMAT in training/job.py then, so that it is refused.
    sampler = Sampler(10, 4, 42)
    assert [sampler.groups(step).tolist() for step in range(4)] == [[5, 6, 0, 7], [3, 2, 4, 9], [1, 8], [0, 8, 7, 4]]


# documents


@given(LABELS, SIZES, st.integers(0, 9))
def test_one_positive_comes_first_and_the_rest_are_negatives(labels: list[float], size: int, epoch: int) -> None:
    labels = [*labels, 1.0, 0.0]
    first, *rest = drawn(labels, size, epoch)
    negatives = [place for place, label in enumerate(labels) if label <= 0]
    assert labels[first] > 0
    assert set(rest) <= set(negatives)
    assert len(rest) == len(set(rest)) == min(len(negatives), size - 1), "none twice, and as many as there are"


@given(LABELS, st.integers(0, 9))
def test_all_negatives_are_kept_where_the_size_is_0(labels: list[float], epoch: int) -> None:
    labels = [*labels, 1.0, 0.0]
    first, *rest = drawn(labels, ALL, epoch)
    assert labels[first] > 0
    assert sorted(rest) == [place for place, label in enumerate(labels) if label <= 0]


def test_an_unjudged_document_is_never_drawn() -> None:
    # It may be a positive that nobody judged. 200 epochs would find it, were it drawn once in 40.
    labels = [NAN, 1, NAN, 0, 0, NAN]
    assert {place for epoch in range(200) for place in drawn(labels, 3, epoch)} == {1, 3, 4}
    assert sorted(drawn(labels, ALL)) == [1, 3, 4]


def test_few_negatives_are_not_repeated() -> None:
    # FlagEmbedding repeats the list until it is long enough; here the group is smaller.
    assert drawn([0, 1], 8) == [1, 0]
    assert sorted(drawn([1, 0, 0], 8)[1:]) == [1, 2]


def test_negatives_differ_by_epoch_and_all_are_drawn_in_time() -> None:
    labels = [1, *[0] * 9]
    draws = [frozenset(drawn(labels, 4, epoch)[1:]) for epoch in range(30)]
    # 84 sets of 3 among 9: were they the same in every epoch, there would be one.
    assert len(set(draws)) > 20
    assert set().union(*draws) == set(range(1, 10))


def test_each_positive_has_its_turn() -> None:
    assert {drawn([1, 0, 2, 1], 2, epoch)[0] for epoch in range(30)} == {0, 2, 3}


def test_no_place_in_the_group_is_liked_better() -> None:
    # 3 of 9 negatives, 9,000 groups: 3,000 each, and 45 is one standard deviation (9,000 x 1/3 x 2/3, the root of it).
    counts = np.zeros(10, dtype=int)
    for number in range(9_000):
        counts[drawn([1, *[0] * 9], 4, who=hash_id(f"q{number}"))] += 1
    assert counts[0] == 9_000
    assert np.abs(counts[1:] - 3_000).max() < 5 * 45


def test_other_queries_and_other_seeds_draw_otherwise() -> None:
    labels = [1, *[0] * 9]
    assert len({tuple(drawn(labels, 4, who=hash_id(f"q{number}"))) for number in range(20)}) > 15
    assert len({tuple(drawn(labels, 4, seed=seed)) for seed in range(20)}) > 15


def test_the_documents_of_a_group_never_change_silently() -> None:
    # As for the order of groups: what this version drew.
    labels = [1, 0, 0, 0, 0, 1, NAN, 0]
    assert WHO == 7530267129497158631
    assert [drawn(labels, 4, epoch) for epoch in range(4)] == [[5, 1, 7, 2], [0, 1, 7, 4], [5, 4, 3, 1], [0, 7, 4, 1]]


# seeds of dropout


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=4))
def test_a_seed_is_one_that_torch_takes(parts: list[int]) -> None:
    assert 0 <= seed_of(*parts) < 2**63


def test_every_micro_batch_of_every_step_has_a_seed_of_its_own() -> None:
    seeds = {seed_of(seed, step, number) for seed in range(5) for step in range(50) for number in range(20)}
    assert len(seeds) == 5 * 50 * 20


def test_a_seed_depends_on_the_place_of_its_parts() -> None:
    assert seed_of(1, 2) != seed_of(2, 1)
    assert seed_of(1) != seed_of(0, 1) != seed_of(0, 0, 1)


def test_seeds_are_those_of_splitmix64() -> None:
    # Python's whole numbers, masked to 64 bits, after the published C code; its first number for the seed 0 is known.
    def finalised(value: int, key: int) -> int:
        mask = (1 << 64) - 1
        mixed = ((value + 1) * 0x9E3779B97F4A7C15 & mask) ^ key
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & mask
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & mask
        return mixed ^ mixed >> 31

    assert finalised(0, 0) == 0xE220A8397B1DCDAF
    assert seed_of(42, 3, 7) == finalised(7, finalised(3, finalised(42, 0))) >> 1
