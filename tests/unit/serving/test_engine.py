"""The thread that owns the model.

How it could fail users, and what is tested for it: a score goes to the wrong request, or comes twice; a result is
held back until somebody else sends a request; one bad request fails its neighbours; the thread ends, or stops with
requests still waiting for it; work is counted that nobody does any more; a request stays in memory; the speed that it
reports, by which requests are refused, is that of the load and not of the model.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.batching import Cost
from crossrank.serving.engine import Engine
from crossrank.serving.errors import Abandoned, Broken, Expired, NotReady
from crossrank.serving.fair_queue import Batch, Ticket
from tests.unit.serving.desk import Clock

GUARD_S = 10.0

both_ways = pytest.mark.parametrize("runs_ahead", [False, True], ids=["as on a CPU", "as on a GPU"])


class Numbers:
    """The logit of a pair is its first token id."""

    cost: Cost = "packed"

    def __init__(self, runs_ahead: bool = False) -> None:
        self.runs_ahead = runs_ahead
        self.seen: Counter[int] = Counter()
        self.log: list[str] = []
        self.on_launch: Callable[[NDArray[np.float32]], object] = lambda logits_B: None
        self.on_read: Callable[[NDArray[np.float32]], NDArray[np.float32]] = lambda logits_B: logits_B

    def launch(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> NDArray[np.float32]:
        logits_B = np.array([ids[0] for ids in ids_B], dtype=np.float32)
        self.seen.update(int(ids[0]) for ids in ids_B)
        self.log.append(f"launch {logits_B[0]:.0f}")
        self.on_launch(logits_B)
        return logits_B

    def read(self, launched: NDArray[np.float32]) -> NDArray[np.float32]:
        self.log.append(f"read {launched[0]:.0f}")
        return self.on_read(launched)


class Request:
    """Pairs of `length` tokens whose logits are to be `numbers`."""

    def __init__(self, numbers: Sequence[int], length: int = 10, priority: int = 0, deadline: float | None = None):
        self.numbers = list(numbers)
        self.calls = 0
        self._ended = threading.Event()
        ids = [np.full(length, number, dtype=np.int32) for number in numbers]
        self.ticket = Ticket(ids, np.full(len(ids), length, np.int32), self._done, priority, deadline)

    def _done(self, ticket: Ticket) -> None:
        self.calls += 1
        self._ended.set()

    def wait(self) -> Ticket:
        assert self._ended.wait(GUARD_S), "it never ended"
        return self.ticket

    def is_right(self) -> bool:
        ticket = self.wait()
        return ticket.fault is None and ticket.logits_U.tolist() == self.numbers and self.calls == 1


@contextmanager
def running(model: Numbers, *waiting: Request, budget: int = 40, clock: Clock | None = None) -> Iterator[Engine]:
    """An engine that finds these requests in its queue when it starts."""
    engine = Engine(model, budget) if clock is None else Engine(model, budget, clock)
    for request in waiting:
        engine.queue.put(request.ticket)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


# every score to its request


@both_ways
def test_requests_of_many_threads_get_their_own_scores_and_each_pair_is_scored_once(runs_ahead: bool) -> None:
    model = Numbers(runs_ahead)
    requests = [
        Request(range(100 * number, 100 * number + number % 7 + 1), length=number % 5 + 1, priority=number % 3)
        for number in range(160)
    ]
    with running(model) as engine:

        def send(mine: list[Request]) -> None:
            for request in mine:
                engine.queue.put(request.ticket)

        threads = [threading.Thread(target=send, args=(requests[start::8],)) for start in range(8)]
        for thread in threads:
            thread.start()
        assert all(request.is_right() for request in requests)
    assert model.seen == Counter(number for request in requests for number in request.numbers)
    assert engine.backlog_tokens == 0


@both_ways
def test_requests_that_are_withdrawn_while_others_are_scored_end_once_and_harm_no_other(runs_ahead: bool) -> None:
    model = Numbers(runs_ahead)
    requests = [Request(range(100 * number, 100 * number + 9)) for number in range(60)]
    with running(model, *requests[:30]) as engine:

        def withdraw() -> None:
            for request in requests[::2]:
                engine.queue.withdraw(request.ticket, Abandoned("the client went away"))

        leaving = threading.Thread(target=withdraw)
        leaving.start()
        for request in requests[30:]:
            engine.queue.put(request.ticket)
        assert all(request.is_right() for request in requests[1::2])
        leaving.join(GUARD_S)
        for request in requests[::2]:
            request.wait()
    assert set(model.seen.values()) == {1}
    assert [request.calls for request in requests] == [1] * 60
    assert engine.backlog_tokens == 0


@both_ways
def test_an_idle_model_scores_a_lone_request_at_once_and_tells_without_waiting_for_the_next(runs_ahead: bool) -> None:
    with running(Numbers(runs_ahead)) as engine:
        for number in range(5):
            request = Request([number])
            engine.queue.put(request.ticket)
            assert request.is_right()
        assert engine.in_flight_tokens == 0
        assert engine.busy_since is None
        assert engine.last_success is not None


def test_on_a_gpu_the_next_batch_is_launched_before_the_last_one_is_read() -> None:
    model = Numbers(runs_ahead=True)
    requests = [Request([number]) for number in range(3)]
    with running(model, *requests, budget=10):
        assert all(request.is_right() for request in requests)
    assert model.log == ["launch 0", "launch 1", "read 0", "launch 2", "read 1", "read 2"]


def test_on_a_cpu_each_batch_is_told_before_the_next_begins() -> None:
    model = Numbers()
    requests = [Request([number]) for number in range(2)]
    told: list[int] = []
    model.on_launch = lambda logits_B: told.append(sum(request.calls for request in requests))
    with running(model, *requests, budget=10):
        assert all(request.is_right() for request in requests)
    assert told == [0, 1]
    assert model.log == ["launch 0", "read 0", "launch 1", "read 1"]


def test_pairs_past_their_deadline_never_reach_the_model() -> None:
    clock, model = Clock(), Numbers()
    clock.now = 5.0
    late, other = Request([1], deadline=4.0), Request([2])
    with running(model, late, other, clock=clock):
        assert isinstance(late.wait().fault, Expired)
        assert other.is_right()
    assert set(model.seen) == {2}


# what goes wrong


@both_ways
@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_a_number_fails_its_request_and_not_its_neighbours(score: float, runs_ahead: bool) -> None:
    model = Numbers(runs_ahead)
    model.on_read = lambda logits_B: np.where(logits_B == 13, np.float32(score), logits_B)
    bad, good = Request([13, 14, 15, 16, 17, 18]), Request([1, 2])
    with running(model, bad, good) as engine:
        assert isinstance(bad.wait().fault, Broken)
        assert good.is_right()
        after = Request([3])
        engine.queue.put(after.ticket)
        assert after.is_right()
    assert bad.calls == 1
    # By turns, the first batch is 13, 1, 14, 2. What is then left of the bad one was launched already on a GPU alone.
    assert set(model.seen) == ({13, 1, 14, 2, 3} | ({15, 16, 17, 18} if runs_ahead else set()))


@both_ways
@pytest.mark.parametrize("where", ["launch", "read", "shape"])
def test_a_model_that_fails_on_a_batch_fails_the_requests_in_it_and_goes_on(
    where: str, runs_ahead: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = Numbers(runs_ahead)

    def fail(logits_B: NDArray[np.float32]) -> NDArray[np.float32]:
        if 13 in logits_B:
            raise RuntimeError("CUDA error")
        return logits_B

    if where == "launch":
        model.on_launch = fail
    elif where == "read":
        model.on_read = fail
    else:
        model.on_read = lambda logits_B: logits_B[:1] if 13 in logits_B else logits_B
    before, after = Request([1, 2, 3, 4], priority=0), Request([7, 8], priority=2)
    bad, neighbour = Request([13, 14], priority=1), Request([5, 6], priority=1)
    with running(model, before, bad, neighbour, after) as engine:
        assert before.is_right()
        assert isinstance(bad.wait().fault, Broken)
        assert isinstance(neighbour.wait().fault, Broken)
        assert after.is_right()
        assert engine.last_success is not None
    assert engine.backlog_tokens == 0
    assert engine.busy_since is None
    assert "a batch of 4 pairs failed" in caplog.text
    assert [request.calls for request in (before, bad, neighbour, after)] == [1, 1, 1, 1]


def test_what_is_called_after_a_batch_may_fail() -> None:
    with running(Numbers()) as engine:

        def fails(*_: object) -> None:
            raise ValueError("a metric with the wrong label")

        engine.on_batch = fails
        for number in range(3):
            request = Request([number])
            engine.queue.put(request.ticket)
            assert request.is_right()


@both_ways
def test_an_idle_engine_keeps_no_request_in_memory(runs_ahead: bool) -> None:
    with running(Numbers(runs_ahead)) as engine:
        ended, freed = threading.Event(), threading.Event()
        ticket = Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), lambda _: ended.set())
        weakref.finalize(ticket, freed.set)
        engine.queue.put(ticket)
        assert ended.wait(GUARD_S)
        del ticket
        assert freed.wait(GUARD_S)


# the end


@both_ways
def test_stop_finishes_the_batch_at_hand_and_ends_every_other_request(runs_ahead: bool) -> None:
    model = Numbers(runs_ahead)
    begun, go_on = threading.Event(), threading.Event()

    def hold(logits_B: NDArray[np.float32]) -> None:
        begun.set()
        assert go_on.wait(GUARD_S)

    model.on_launch = hold
    at_hand, half, waiting = Request([1, 2]), Request([3, 4, 5, 6], priority=1), Request([7], priority=2)
    engine = Engine(model, budget=40)
    for request in (at_hand, half, waiting):
        engine.queue.put(request.ticket)
    engine.start()
    assert begun.wait(GUARD_S)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    assert isinstance(waiting.wait().fault, NotReady)  # told at once, and not after the batch
    assert isinstance(half.wait().fault, NotReady)
    go_on.set()
    stopping.join(GUARD_S)
    assert not stopping.is_alive()
    assert at_hand.is_right()
    late = Request([8])
    engine.queue.put(late.ticket)
    assert isinstance(late.wait().fault, NotReady)
    assert [request.calls for request in (at_hand, half, waiting, late)] == [1, 1, 1, 1]
    assert engine.backlog_tokens == 0


def test_an_engine_can_be_stopped_before_it_started_and_while_idle() -> None:
    never_started = Engine(Numbers(), budget=40)
    request = Request([1])
    never_started.queue.put(request.ticket)
    never_started.stop()
    assert isinstance(request.wait().fault, NotReady)
    with running(Numbers()):
        pass


# its speed


def taking(seconds: float, clock: Clock) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A model whose batches take so long."""

    def read(logits_B: NDArray[np.float32]) -> NDArray[np.float32]:
        clock.now += seconds
        return logits_B

    return read


def test_no_speed_is_known_before_the_first_batch() -> None:
    assert Engine(Numbers(), budget=40).tokens_per_second == 0.0


@both_ways
def test_speed_is_the_mean_of_the_last_seconds(runs_ahead: bool) -> None:
    clock, model = Clock(), Numbers(runs_ahead)
    model.on_read = taking(1.0, clock)
    requests = [Request(range(10)), Request(range(10))]
    with running(model, *requests, budget=100, clock=clock) as engine:
        assert all(request.is_right() for request in requests)
        # Two batches of 100 tokens, a second each: on a GPU the second one waited a second for the first.
    assert engine.tokens_per_second == pytest.approx(100.0)

    model.on_read = taking(5.0, clock)
    requests = [Request(range(10)), Request(range(10))]
    with running(model, *requests, budget=100, clock=clock) as slower:
        assert all(request.is_right() for request in requests)
        model.on_read = taking(1.0, clock)
        last = Request(range(10))
        slower.queue.put(last.ticket)
        assert last.is_right()
    # 100 tokens in 5 s, which count half after the next 5 s, and both 0.9 after 1 s more: 135 + 100 in 6.75 + 1.
    assert slower.tokens_per_second == pytest.approx(235 / 7.75)


def test_what_passes_between_two_batches_while_others_wait_is_time_that_they_wait() -> None:
    # A thread that does not get a core: the model is as fast as ever, and its queue is not.
    clock, model = Clock(), Numbers()
    model.on_read = taking(1.0, clock)
    engine = Engine(model, 100, clock)
    requests = [Request(range(10)) for _ in range(3)]
    for request in requests:
        engine.queue.put(request.ticket)
    take = engine.queue.take

    def late(wait: bool = True) -> Batch | None:
        clock.now += 0.25
        return take(wait)

    engine.queue.take = late  # type: ignore[method-assign]
    engine.start()
    assert all(request.is_right() for request in requests)
    engine.stop()
    # 100 tokens in 1 s, then twice 100 in 1.25 s, each of which leaves 0.875 of what was before.
    assert engine.tokens_per_second == pytest.approx((0.875 * 187.5 + 100) / (0.875 * 2.125 + 1.25))


def test_a_pause_without_work_does_not_make_the_model_look_slow() -> None:
    clock, model = Clock(), Numbers()
    model.on_read = taking(1.0, clock)
    with running(model, Request(range(10)), Request(range(10)), budget=100, clock=clock) as engine:
        for _ in range(3):
            request = Request(range(10))
            engine.queue.put(request.ticket)
            assert request.is_right()
            clock.now += 60.0
    assert engine.tokens_per_second == pytest.approx(100.0)


def test_a_small_request_alone_does_not_make_the_model_look_slow() -> None:
    clock, model = Clock(), Numbers()
    model.on_read = taking(1.0, clock)
    with running(model, budget=100, clock=clock) as engine:
        for pairs, speed in [(1, 10.0), (2, 20.0), (1, 20.0), (10, 100.0), (1, 100.0)]:
            request = Request(range(pairs))
            engine.queue.put(request.ticket)
            assert request.is_right()  # the speed is measured before
            assert engine.tokens_per_second == pytest.approx(speed)


def test_a_launch_that_fails_does_not_make_the_batch_in_flight_look_fast() -> None:
    clock, model = Clock(), Numbers(runs_ahead=True)

    def launch(logits_B: NDArray[np.float32]) -> None:
        if 13 in logits_B:
            clock.now += 1.0
            raise RuntimeError("CUDA error")

    model.on_launch, model.on_read = launch, taking(1.0, clock)
    good, bad = Request([1]), Request([13])
    with running(model, good, bad, budget=10, clock=clock) as engine:
        assert good.is_right()
    assert engine.tokens_per_second == pytest.approx(5.0)  # 10 tokens from 0 to 2 s


def test_what_is_called_after_a_batch_hears_how_long_it_took() -> None:
    clock, model = Clock(), Numbers()
    model.on_read = taking(2.5, clock)
    heard: list[tuple[int, float]] = []
    engine = Engine(model, 100, clock)
    engine.on_batch = lambda batch, seconds: heard.append((batch.num_tokens, seconds))
    request = Request(range(10))
    engine.queue.put(request.ticket)
    engine.start()
    assert request.is_right()
    engine.stop()
    assert heard == [(100, 2.5)]
