"""Three replicas behind a proxy that counts requests, with twice the work they can do, in a time of its own.

How overload could fail users: a replica idles while another refuses; work is done in vain, since another slice of the
request was refused or too late; large requests are let in never.
"""

from __future__ import annotations

import asyncio
import selectors
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from crossrank.serving.admission import Admission
from crossrank.serving.errors import Abandoned, Expired, Overloaded
from crossrank.serving.fair_queue import Queue, Ticket
from crossrank.serving.fan_out import FanOut
from crossrank.serving.metrics import Metrics
from crossrank.serving.request import ScoringRequest, ScoringResponse, Timing
from crossrank.serving.service import Deadlines

SPEED = 10_000.0
"""Tokens a second of one model, on average; one batch takes up to a fifth more or less."""
BUDGET = 2_000
PAIR_TOKENS = 100
REPLICAS = 3
HOP_S = 0.003
DURATION_S = 120.0
SIZES = {10: 0.90, 100: 0.08, 400: 0.02}
"""Pairs of a request, and how many of the requests have so many: each kind is about a third of the work."""


class TimeThatPassesAtOnce(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__(_Jump(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Jump(selectors.SelectSelector):
    def __init__(self, loop: TimeThatPassesAtOnce) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.now += timeout or 0.0
        return super().select(0)


class Replica:
    """A real queue and its admission before a model that takes its time."""

    deadlines = Deadlines()
    tokens_per_second = SPEED

    def __init__(self, rng: np.random.Generator) -> None:
        clock = asyncio.get_running_loop().time
        self._clock = clock
        self._rng = rng
        self._queue = Queue(BUDGET, "packed", clock, lambda: SPEED)
        self._admission = Admission(self, clock=clock)
        self._in_flight = 0
        self._came = asyncio.Event()
        self.ongoing = 0
        """Requests that the proxy has sent here."""

    @property
    def backlog_tokens(self) -> int:
        return self._queue.num_tokens + self._in_flight

    @property
    def speed_share(self) -> float:
        return self._queue.speed_margin.share

    def promised(self) -> list[tuple[float, int]]:
        return [(-np.inf, self._in_flight), *self._queue.promised()]

    async def score(self, ask: ScoringRequest) -> ScoringResponse:
        assert ask.timeout_s is not None
        num = len(ask.documents)
        deadline = self._clock() + ask.timeout_s
        permit = self._admission.admit(num * PAIR_TOKENS, ask.timeout_s)
        ended = asyncio.Event()
        ids = [np.zeros(PAIR_TOKENS, dtype=np.int32)] * num
        ticket = Ticket(ids, np.full(num, PAIR_TOKENS, np.int32), lambda _: ended.set(), 0, deadline)
        self._queue.put(ticket)
        permit.release()
        self._came.set()
        try:
            await asyncio.wait_for(ended.wait(), ask.timeout_s)
        except TimeoutError:
            self._queue.withdraw(ticket, Expired("late"))
        except asyncio.CancelledError:
            self._queue.withdraw(ticket, Abandoned("gone"))
            raise
        if ticket.fault is not None:
            raise ticket.fault
        zeros_C = np.zeros(num, np.int32)
        return ScoringResponse(ticket.logits_U, zeros_C + PAIR_TOKENS, zeros_C, zeros_C + 1, 0, 0, Timing())

    async def work(self) -> None:
        while True:
            batch = self._queue.take(wait=False)
            if batch is None:
                self._came.clear()
                await self._came.wait()
                continue
            self._in_flight = batch.num_tokens
            await asyncio.sleep(batch.num_tokens / SPEED * self._rng.uniform(0.8, 1.2))
            self._in_flight = 0
            batch.deliver(np.zeros(len(batch.units_B), np.float32))


class Others:
    def __init__(self, replicas: list[Replica], here: Replica) -> None:
        self._replicas = {str(n): replica for n, replica in enumerate(replicas) if replica is not here}

    async def names(self) -> list[str]:
        return list(self._replicas)

    async def score(self, name: str, ask: ScoringRequest) -> ScoringResponse:
        await asyncio.sleep(HOP_S)
        return await self._replicas[name].score(ask)


@dataclass
class Fate:
    """What became of the requests of one size."""

    asked: int = 0
    answered: int = 0
    refused: int = 0
    late: int = 0


async def fates(times: float, together: bool, timeout_s: float, seed: int) -> dict[int, Fate]:
    """Requests come at random, without waiting for an answer, with so many times the work that all can do."""
    rng = np.random.default_rng(seed)
    replicas = [Replica(rng) for _ in range(REPLICAS)]
    metrics = Metrics()
    doors = [
        FanOut(each, Others(replicas, each), _seconds_of, metrics, asyncio.get_running_loop().time) for each in replicas
    ]
    working = [asyncio.create_task(each.work()) for each in replicas]
    found = {size: Fate() for size in SIZES}

    async def ask(size: int) -> None:
        n = min(range(REPLICAS), key=lambda n: replicas[n].ongoing)
        found[size].asked += 1
        replicas[n].ongoing += 1
        try:
            await (doors[n] if together else replicas[n]).score(
                ScoringRequest(queries=("q",), documents=("d",) * size, timeout_s=timeout_s)
            )
            found[size].answered += 1
        except Overloaded:
            found[size].refused += 1
        except Expired:
            found[size].late += 1
        finally:
            replicas[n].ongoing -= 1

    work_a_request = PAIR_TOKENS * sum(size * share for size, share in SIZES.items())
    requests_a_second = times * REPLICAS * SPEED / work_a_request
    asking = []
    while asyncio.get_running_loop().time() < DURATION_S:
        await asyncio.sleep(rng.exponential(1 / requests_a_second))
        asking.append(asyncio.create_task(ask(int(rng.choice(list(SIZES), p=list(SIZES.values()))))))
    await asyncio.gather(*asking)
    for each in working:
        each.cancel()
    return found


def _seconds_of(ask: ScoringRequest) -> Any:
    return np.full(len(ask.documents), PAIR_TOKENS / SPEED)


@cache
def run(times: float, together: bool, timeout_s: float = 30.0, seed: int = 1) -> dict[int, Fate]:
    with asyncio.Runner(loop_factory=TimeThatPassesAtOnce) as runner:
        return runner.run(fates(times, together, timeout_s, seed))


def done(found: dict[int, Fate]) -> float:
    """Work that was of use, as a part of what all replicas can do in the time."""
    return sum(size * fate.answered for size, fate in found.items()) * PAIR_TOKENS / (REPLICAS * SPEED * DURATION_S)


@pytest.mark.parametrize("timeout_s", [30.0, 5.0])
def test_at_twice_the_capacity_three_replicas_do_all_that_they_can_and_none_of_it_in_vain(timeout_s: float) -> None:
    found = run(2.0, together=True, timeout_s=timeout_s)
    assert sum(fate.late for fate in found.values()) == 0
    assert done(found) >= 0.95


def test_at_twice_the_capacity_large_requests_are_let_in_too() -> None:
    runs = [run(2.0, together=True, seed=seed) for seed in (1, 2)]
    small, medium, large = (
        sum(found[size].answered for found in runs) / sum(found[size].asked for found in runs) for size in SIZES
    )
    assert medium == pytest.approx(small, rel=0.1)
    assert large >= 0.6 * small


def test_near_the_capacity_requests_that_one_replica_would_refuse_are_scored_by_the_three_together() -> None:
    alone, together = (run(0.9, together, timeout_s=5.0) for together in (False, True))
    for size, least in ((10, 0.97), (100, 0.97), (400, 0.8)):
        assert together[size].answered / together[size].asked >= least
        assert alone[size].answered / alone[size].asked < least
    assert sum(fate.late for fate in together.values()) == 0
