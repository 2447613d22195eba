"""Whose turn it is.

How turns could fail users: a small request waits behind a large one; the large one waits for ever behind a stream of
small ones, or past the deadline that it was let in for; one of long texts gets more of the model than one of short
ones; work of one priority changes the turns within another.
"""

from __future__ import annotations

from collections import Counter
from typing import get_args

import numpy as np
import pytest

from crossrank.batching import Cost
from crossrank.serving.fair_queue import Ticket
from tests.unit.serving.desk import Desk, shares


def test_a_small_request_behind_a_huge_one_is_done_with_the_next_batch() -> None:
    desk = Desk(budget=200)  # 20 pairs
    desk.put([10] * 5_000)
    desk.score()
    small = desk.put([10] * 10)
    # It begins where the huge one stood before its batch, so the next one is its own first.
    assert desk.batches_until_done(small, at_most=2) == 1


def test_a_small_request_that_is_more_than_a_batch_waits_for_no_more_than_twice_its_own() -> None:
    desk = Desk(budget=80)  # 8 pairs
    desk.put([10] * 5_000)
    desk.score()
    assert desk.batches_until_done(desk.put([10] * 10), at_most=3) == 2


def test_with_padding_too_a_small_request_takes_no_more_batches_than_it_has_pairs() -> None:
    # Its 10 pairs are less than the batch that the huge one was given last, so it is first in turn until it is done,
    # and every batch has the longest pair that it still has.
    desk = Desk(budget=4096, cost="padded")
    rng = np.random.default_rng(7)
    desk.put(rng.integers(1, 257, 5_000).tolist())
    for _ in range(5):
        desk.score()
    desk.batches_until_done(desk.put(rng.integers(1, 257, 10).tolist()), at_most=10)


@pytest.mark.parametrize("cost", get_args(Cost))
def test_a_stream_of_small_requests_that_fills_every_batch_does_not_stop_a_large_one(cost: Cost) -> None:
    desk = Desk(budget=100, cost=cost)
    large = desk.put([10] * 50)
    for _ in range(10):
        desk.put([10])
    # Ten new ones for every batch of ten pairs, for ever: the large one is one of about eleven that take turns.
    for _ in range(50 * 11):
        desk.score()
        for _ in range(10):
            desk.put([10])
    assert large.ended


def test_two_large_requests_get_half_of_the_model_each() -> None:
    desk = Desk(budget=100)
    first, second = desk.put([10] * 1_000), desk.put([10] * 1_000)
    given_out: Counter[Ticket] = Counter()
    for _ in range(100):
        given_out.update(shares(desk.score()))
    assert abs(given_out[first] - given_out[second]) <= 10


def test_turns_are_by_tokens_and_not_by_pairs() -> None:
    desk = Desk(budget=100)
    long, short = desk.put([50] * 200), desk.put([5] * 2_000)
    given_out: Counter[Ticket] = Counter()
    for _ in range(100):
        given_out.update(shares(desk.score()))
    assert given_out[short] == pytest.approx(10 * given_out[long], rel=0.05)


def test_the_more_important_goes_first_and_the_rest_fills_the_batch() -> None:
    desk = Desk(budget=40)
    later, sooner = desk.put([10] * 4, priority=1), desk.put([10] * 3, priority=0)
    assert shares(desk.score()) == {sooner: 3, later: 1}


def test_work_of_one_priority_does_not_change_turns_within_another() -> None:
    desk = Desk(budget=100)
    large = desk.put([10] * 1_000, priority=1)
    desk.score()
    desk.put([10] * 2_000, priority=0)
    for _ in range(200):
        desk.score()
    small = desk.put([10] * 10, priority=1)
    # The large one has had one batch or little more, and not 200: the small one is not behind it by those.
    assert desk.batches_until_done(small, at_most=3) <= 2
    assert not large.ended


def test_requests_of_one_moment_are_served_in_the_order_they_came() -> None:
    desk = Desk(budget=10)
    tickets = [desk.put([10]) for _ in range(20)]
    assert [desk.score().tickets_B for _ in tickets] == [[ticket] for ticket in tickets]


def test_who_has_time_to_spare_waits_for_those_who_came_later() -> None:
    desk = Desk(budget=100, tokens_per_second=100.0)
    desk.put([10] * 50, deadline=30.0)  # 5 s of work
    desk.score()
    small = desk.put([10] * 10, deadline=60.0)
    assert set(shares(desk.score())) == {small}


def test_the_earliest_deadline_goes_first_when_there_is_no_time_to_spare() -> None:
    desk = Desk(budget=100, tokens_per_second=100.0)
    large = desk.put([10] * 50, deadline=7.0)
    desk.score()
    # 4 s of work, at nine tenths of the speed 4.4; two batches are 2.2 s more: past 0.33 s it has to be its turn.
    desk.clock.now = 0.3
    first, second = desk.put([10] * 10, deadline=60.0), desk.put([10] * 10, deadline=60.0, priority=-1)
    assert set(shares(desk.score())) == {second}
    desk.clock.now = 1.3
    for _ in range(4):
        assert set(shares(desk.score())) == {large}
        desk.clock.now += 1.0
    assert large.ended
    assert set(shares(desk.score())) == {first}


def test_a_request_without_a_deadline_can_always_wait() -> None:
    desk = Desk(budget=100, tokens_per_second=100.0)
    patient, promised = desk.put([10] * 20), desk.put([10] * 10, deadline=2.0)
    assert set(shares(desk.score())) == {promised}
    assert set(shares(desk.score())) == {patient}
