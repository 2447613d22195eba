"""Requests waiting for the model.

How a queue could fail its users, and what is tested for it: it could
- lose a pair, score it twice, or give its score to another (any sequence of events, drained to the end);
- form a batch over the budget, or none at all;
- score what nobody waits for: withdrawn, expired, failed;
- leak: tokens that stay counted, tickets that stay in memory, one that never ends;
- stop: by recursion, by an exception of its caller, by calling `done` with its lock held.
"""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrank.batching import Cost
from crossrank.serving.errors import Abandoned, Broken, Expired, NotReady, RequestError
from crossrank.serving.fair_queue import Batch, Queue, Ticket
from tests.unit.serving.desk import BUDGET, Clock, Desk, cost_of, own_logits, shares

GUARD_S = 10.0
COSTS = st.sampled_from(get_args(Cost))

Event = tuple[str, list[int], int, float]
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"),
            st.lists(st.integers(1, BUDGET), max_size=12),
            st.integers(0, 2),
            st.sampled_from([2.0, 5.0, float("inf")]),
        ),
        st.tuples(st.just("take"), st.just([]), st.integers(0, 3), st.just(0.0)),
        st.tuples(st.just("withdraw"), st.just([]), st.integers(0, 20), st.just(0.0)),
        st.tuples(st.just("pass"), st.just([]), st.just(0), st.sampled_from([0.0, 1.0, 3.0])),
    ),
    max_size=40,
)


# nothing is lost, doubled or mixed up


@given(EVENTS, COSTS)
@settings(max_examples=80)
def test_every_pair_is_scored_once_and_every_request_ends_once_whatever_happens(
    events: list[Event], cost: Cost
) -> None:
    desk = Desk(cost=cost)
    tickets: list[Ticket] = []
    in_flight: list[Batch] = []
    scored: Counter[tuple[Ticket, int]] = Counter()

    def take() -> bool:
        waiting = {t for t in tickets if t.pending and not t.ended}
        batch = desk.queue.take(wait=False)
        expired = {t for t in waiting if t.due <= desk.clock.now}
        assert all(isinstance(t.fault, Expired) for t in expired)
        if batch is None:
            assert waiting == expired
            return False
        assert cost_of(batch, cost) <= BUDGET
        assert set(batch.tickets_B) <= waiting - expired
        assert min(t.priority for t in batch.tickets_B) == min(t.priority for t in waiting - expired)
        scored.update(zip(batch.tickets_B, batch.units_B, strict=True))
        in_flight.append(batch)
        return True

    for kind, lengths, number, seconds in events:
        if kind == "put":
            tickets.append(desk.put(lengths, number, None if seconds == float("inf") else desk.clock.now + seconds))
        elif kind == "take":
            take()
            while len(in_flight) > number:
                batch = in_flight.pop(0)
                batch.deliver(own_logits(batch))
        elif kind == "withdraw" and tickets:
            desk.queue.withdraw(tickets[number % len(tickets)], Abandoned("gone"))
        else:
            desk.clock.now += seconds
        waiting_tokens = sum(t.pending_tokens for t in tickets if not t.ended)
        assert desk.queue.num_tokens == waiting_tokens
    while take():
        pass
    for batch in in_flight:
        batch.deliver(own_logits(batch))

    assert set(scored.values()) <= {1}
    assert desk.queue.num_tokens == desk.queue.num_tickets == 0
    assert desk.ended == Counter(tickets)
    for ticket in tickets:
        if ticket.fault is None:
            assert ticket.logits_U.tolist() == list(range(len(ticket.ids_U)))


def test_a_request_keeps_the_order_of_its_pairs_though_the_longest_go_first() -> None:
    desk = Desk(budget=10, cost="padded")
    ticket = desk.put([2, 9, 4, 5])
    batches = []
    while not ticket.ended:
        batches.append(desk.score().units_B)
    # 9 fills a batch of 10 alone; 5 and 4 are 2 x 5; then the 2.
    assert batches == [[1], [3, 2], [0]]
    assert ticket.logits_U.tolist() == [0, 1, 2, 3]


def test_a_batch_is_as_full_as_what_waits_allows() -> None:
    desk = Desk(budget=40)
    first, second = desk.put([10, 10]), desk.put([10, 10])
    assert shares(desk.score()) == {first: 2, second: 2}


def test_a_request_without_pairs_ends_at_once() -> None:
    desk = Desk()
    ticket = desk.put([])
    assert (desk.ended[ticket], ticket.fault, desk.queue.num_tickets) == (1, None, 0)


def test_token_types_travel_with_their_pairs() -> None:
    desk = Desk()
    desk.put([3, 7])
    batch = desk.take()
    assert batch.first_B.tolist() == [len(ids) for ids in batch.ids_B] == [7, 3]


def test_two_requests_with_the_same_texts_stay_two() -> None:
    desk = Desk()
    first, second = desk.put([5]), desk.put([5])
    assert first != second
    desk.score()
    assert desk.ended == {first: 1, second: 1}


# what nobody waits for


def test_pairs_past_their_deadline_never_reach_the_model() -> None:
    desk = Desk()
    late, other = desk.put([10] * 3, deadline=5.0), desk.put([10])
    desk.clock.now = 5.0
    assert shares(desk.score()) == {other: 1}
    assert isinstance(late.fault, Expired)
    assert desk.ended[late] == 1
    assert desk.queue.num_tokens == 0


def test_a_request_that_is_half_done_at_its_deadline_ends_there() -> None:
    desk = Desk(budget=20)
    ticket = desk.put([10] * 4, deadline=5.0)
    desk.score()
    desk.clock.now = 6.0
    assert desk.queue.take(wait=False) is None
    assert isinstance(ticket.fault, Expired)


def test_withdrawn_pairs_never_reach_the_model_and_are_not_counted() -> None:
    desk = Desk(budget=20)
    gone = desk.put([10] * 6)
    in_flight = desk.take()
    desk.queue.withdraw(gone, Abandoned("the client went away"))
    assert (desk.queue.num_tokens, desk.queue.num_tickets) == (0, 0)
    assert desk.queue.take(wait=False) is None
    in_flight.deliver(own_logits(in_flight))  # the batch at hand comes too late, and harms nothing
    desk.queue.withdraw(gone, Abandoned("and again"))
    assert desk.ended == {gone: 1}
    assert isinstance(gone.fault, Abandoned)


def test_what_is_left_of_a_failed_request_is_not_scored() -> None:
    desk = Desk(budget=20)
    ticket = desk.put([10] * 6)
    desk.take().fail(Broken("no"))
    assert desk.queue.take(wait=False) is None
    assert (desk.queue.num_tokens, desk.ended[ticket]) == (0, 1)


def test_a_ticket_that_ended_is_not_kept_in_memory() -> None:
    desk = Desk()
    ticket = Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), lambda ended: None)
    desk.queue.put(ticket)
    desk.take().deliver(np.zeros(1, dtype=np.float32))
    seen = weakref.ref(ticket)
    del ticket
    assert seen() is None


# the queue goes on


def test_thousands_of_expired_requests_in_a_row_do_not_stop_the_queue() -> None:
    """Each wakes the model's thread for nothing; a `take` that called itself then went one frame deeper each time."""
    queue = Queue(BUDGET, "packed", Clock())
    taken: list[Batch | None] = []
    taker = threading.Thread(target=lambda: taken.append(queue.take()), daemon=True)
    taker.start()
    for _ in range(1_500):
        ended = threading.Event()
        queue.put(Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), lambda _, e=ended: e.set(), deadline=-1.0))  # type: ignore[misc]
        assert ended.wait(GUARD_S)
    queue.put(Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), lambda ticket: None))
    taker.join(GUARD_S)
    assert len(taken) == 1
    assert taken[0] is not None


def test_a_pair_over_a_budget_that_was_lowered_is_scored_alone() -> None:
    for cost in get_args(Cost):
        desk = Desk(budget=100, cost=cost)
        ticket = desk.put([90, 10, 80, 10])
        desk.queue.budget = 50
        batches = []
        while not ticket.ended:
            batches.append(desk.score().units_B)
        assert batches == [[0], [2], [1, 3]]
        assert desk.queue.num_tokens == 0


def test_a_caller_whose_done_fails_does_not_take_its_neighbours_with_it() -> None:
    desk = Desk()

    def fails(ticket: Ticket) -> None:
        raise RuntimeError("Event loop is closed")

    desk.queue.put(Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), fails))
    neighbour = desk.put([4])
    desk.score()
    assert desk.ended == {neighbour: 1}


@pytest.mark.parametrize("how", ["deliver", "expire", "withdraw", "close", "refuse"])
def test_no_lock_is_held_while_a_caller_is_told(how: str) -> None:
    """Another thread can use the queue and the ticket meanwhile; with a lock held it would wait for ever."""
    clock = Clock()
    queue = Queue(BUDGET, "packed", clock)
    free: list[bool] = []

    def done(ticket: Ticket) -> None:
        def use() -> None:
            queue.withdraw(ticket, Abandoned("meanwhile"))
            ticket.deliver([], np.zeros(0, dtype=np.float32))

        other = threading.Thread(target=use, daemon=True)
        other.start()
        other.join(GUARD_S)
        free.append(not other.is_alive())

    ticket = Ticket([np.zeros(4, np.int32)], np.zeros(1, np.int32), done, deadline=1.0)
    if how == "refuse":
        queue.close(NotReady("stop"))
    queue.put(ticket)
    if how == "deliver":
        batch = queue.take()
        assert batch is not None
        batch.deliver(np.zeros(1, dtype=np.float32))
    elif how == "expire":
        clock.now = 2.0
        queue.take(wait=False)
    elif how == "withdraw":
        queue.withdraw(ticket, Abandoned("gone"))
    elif how == "close":
        queue.close(NotReady("stop"))
    assert free == [True]


def test_closing_ends_all_that_wait_and_all_that_come_later() -> None:
    desk = Desk(budget=20)
    waiting = desk.put([10] * 4)
    desk.take()
    desk.queue.close(NotReady("stop"))
    late = desk.put([10])
    assert desk.ended == {waiting: 1, late: 1}
    assert isinstance(waiting.fault, NotReady)
    assert isinstance(late.fault, NotReady)
    assert desk.queue.take() is None
    assert desk.queue.num_tokens == 0


def test_a_request_ends_once_though_many_threads_end_it_at_the_same_moment() -> None:
    faults: list[RequestError] = [Expired("late"), Abandoned("gone"), Broken("no")]
    for _ in range(50):
        desk = Desk()
        ticket = desk.put([5] * 4)
        batch = desk.take()
        together = threading.Barrier(5)

        def end(
            act: int, ticket: Ticket = ticket, batch: Batch = batch, together: threading.Barrier = together
        ) -> None:
            together.wait(GUARD_S)
            if act == 3:
                ticket.deliver([0, 1], np.zeros(2, dtype=np.float32))
            elif act == 4:
                ticket.deliver([2, 3], np.zeros(2, dtype=np.float32))
            else:
                ticket.fail(faults[act])

        threads = [threading.Thread(target=end, args=(act,)) for act in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GUARD_S)
        assert desk.ended == {ticket: 1}
