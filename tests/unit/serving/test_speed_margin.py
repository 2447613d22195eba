"""How much of the measured speed promises are made with."""

from __future__ import annotations

import pytest

from crossrank.serving.errors import Abandoned, Expired
from crossrank.serving.speed_margin import FALL, LEAST, MOST, RISE_PER_S, SpeedMargin
from tests.unit.serving.desk import Clock, Desk


def test_nobody_is_trusted_wholly() -> None:
    assert SpeedMargin(Clock()).share == MOST < 1


def test_a_broken_promise_costs_trust_that_comes_back_with_time() -> None:
    clock = Clock()
    trust = SpeedMargin(clock)
    trust.broken()
    assert trust.share == pytest.approx(MOST * FALL)
    clock.now = 5.0
    assert trust.share == pytest.approx(MOST * FALL + 5 * RISE_PER_S)
    clock.now = 1000.0
    assert trust.share == MOST


def test_requests_that_expire_together_break_one_promise() -> None:
    clock = Clock()
    trust = SpeedMargin(clock)
    for _ in range(50):
        trust.broken()
    assert trust.share == pytest.approx(MOST * FALL)


def test_trust_never_falls_so_far_that_the_queue_would_run_dry() -> None:
    clock = Clock()
    trust = SpeedMargin(clock)
    for second in range(100):
        clock.now = float(second)
        trust.broken()
    assert trust.share == LEAST


def test_a_ticket_that_expires_in_the_queue_is_a_broken_promise_and_one_that_went_away_is_none() -> None:
    desk = Desk()
    desk.put([10], deadline=1.0)
    desk.clock.now = 2.0
    assert desk.queue.take(wait=False) is None
    assert desk.queue.speed_margin.share < MOST

    other = Desk()
    ticket = other.put([10], deadline=1.0)
    other.queue.withdraw(ticket, Abandoned("gone"))
    assert other.queue.speed_margin.share == MOST
    ticket = other.put([10], deadline=1.0)
    other.queue.withdraw(ticket, Expired("late"))
    assert other.queue.speed_margin.share < MOST
