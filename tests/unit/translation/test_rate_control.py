"""The rate of a job, against services whose clock is simulated."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

import pytest

from crossrank.translation.rate_control import BACK_OFF, LAG_S, START, Pace


@dataclass(frozen=True, slots=True)
class Seen:
    """What a simulated service saw."""

    accepted: list[float]
    refused: list[float]

    def share(self, limit: float, begin: float, end: float) -> float:
        """Of what the limit allows, what was accepted between two moments."""
        return sum(begin <= at < end for at in self.accepted) / (limit * (end - begin))

    def refused_share(self, begin: float = 0.0) -> float:
        refused = sum(at >= begin for at in self.refused)
        return refused / (refused + sum(at >= begin for at in self.accepted))


def simulated(
    pace: Pace, limit: float, *, burst: float, latency_s: float, slots: int, seconds: float, later: float | None = None
) -> Seen:
    """A job with so many slots and nothing else to do, at a token bucket; half-way its limit becomes `later`."""
    rng = random.Random(0)
    tokens, filled, now, number, free = burst, 0.0, 0.0, 0, slots
    under_way: list[tuple[float, int, float, bool]] = []
    seen = Seen([], [])
    while now < seconds:
        wait = pace.wait_s(now) if free else float("inf")
        if under_way and under_way[0][0] < now + wait:
            now, _, sent, is_accepted = heapq.heappop(under_way)
            free += 1
            (pace.accepted if is_accepted else pace.refused)(sent, now)
            continue
        now += wait + (rng.uniform(0, 0.002) if wait else 0.0)  # threads wake up late
        pace.went(now, 300)
        arrives = now + rng.uniform(0.2, 0.6) * latency_s
        rate = later if later is not None and arrives > seconds / 2 else limit
        tokens = min(burst, tokens + max(0.0, arrives - filled) * rate)
        filled = max(filled, arrives)
        is_accepted = tokens >= 1
        tokens -= is_accepted
        (seen.accepted if is_accepted else seen.refused).append(arrives)
        number, free = number + 1, free - 1
        heapq.heappush(under_way, (arrives + 0.5 * latency_s, number, now, is_accepted))
    return seen


@pytest.mark.parametrize("burst", [10.0, 50.0, 200.0])
@pytest.mark.parametrize("latency_s", [0.02, 0.1])
def test_the_limit_is_found_and_held_and_hardly_ever_passed(burst: float, latency_s: float) -> None:
    seen = simulated(Pace(), 200.0, burst=burst, latency_s=latency_s, slots=64, seconds=60)
    assert seen.share(200.0, 0, 60) >= 0.9
    assert seen.share(200.0, 10, 60) >= 0.97
    assert seen.refused_share() < 0.01


@pytest.mark.parametrize("limit", [20.0, 1000.0])
def test_other_limits_are_found_too(limit: float) -> None:
    seen = simulated(Pace(), limit, burst=limit / 4, latency_s=0.05, slots=int(limit / 5), seconds=60)
    assert seen.share(limit, 20, 60) >= 0.95
    assert seen.refused_share(10.0) < 0.01


def test_a_limit_that_falls_is_followed_and_one_that_rises_too() -> None:
    fallen = simulated(Pace(), 200.0, burst=50, latency_s=0.05, slots=64, seconds=120, later=50.0)
    assert fallen.share(50.0, 65, 120) >= 0.9
    assert fallen.refused_share(65.0) < 0.02
    risen = simulated(Pace(), 200.0, burst=50, latency_s=0.05, slots=64, seconds=120, later=400.0)
    assert risen.share(400.0, 100, 120) >= 0.9


def test_a_throttled_account_is_slow_and_never_stands_still() -> None:
    seen = simulated(Pace(), 1.0, burst=1, latency_s=0.05, slots=8, seconds=120)
    assert len(seen.accepted) >= 60


def test_a_known_limit_is_begun_with_and_never_passed() -> None:
    pace = Pace(most_requests=100.0)
    assert pace.rate == 100.0
    seen = simulated(pace, 1000.0, burst=1000, latency_s=0.02, slots=64, seconds=20)
    assert not seen.refused
    assert len(seen.accepted) == pytest.approx(2000, abs=100 * LAG_S + 1)


def test_requests_go_one_after_another_at_the_rate() -> None:
    pace = Pace()
    assert pace.wait_s(0.0) == 0.0
    pace.went(0.0, 10)
    assert pace.wait_s(0.0) == pytest.approx(1 / START)
    assert pace.wait_s(0.04) == pytest.approx(0.06)


def test_who_comes_late_may_catch_up_but_not_on_an_hour_of_silence() -> None:
    pace = Pace(most_requests=100.0)
    pace.went(0.0, 10)
    sent = 0
    while pace.wait_s(3600.0) == 0:
        pace.went(3600.0, 10)
        sent += 1
    assert sent == pytest.approx(100 * LAG_S, abs=1)


def test_a_limit_in_bytes_makes_long_texts_wait() -> None:
    pace = Pace(most_requests=1000.0, most_bytes=1000.0)
    pace.went(1.0, 500)
    assert pace.wait_s(1.0) == pytest.approx(0.5)


def test_the_refusals_of_one_moment_lower_the_rate_once() -> None:
    # Twelve requests are under way when the first is refused: the rate must not fall twelve times.
    pace = Pace(most_requests=200.0)
    for _ in range(12):
        pace.refused(sent=1.0, now=1.06)
    assert pace.rate == pytest.approx(200 * BACK_OFF)


def test_a_rate_that_nobody_waits_for_does_not_rise() -> None:
    # Ten slots with a latency of a second ask for 10 requests a second, whatever is allowed.
    pace = Pace()
    seen = simulated(pace, 1000.0, burst=1000, latency_s=1.0, slots=4, seconds=60)
    assert not seen.refused
    assert pace.rate < 100
