"""Requests waiting for the model: batches are formed when it is free, fairly, by tokens, and in time.

A batch is cut at the moment the model asks for one, so whatever has arrived by then can be in it; an idle model gets a
lone request at once. Within a priority, requests take turns by the tokens that each was given so far (self-clocked fair
queueing, Golestani 1994, with tokens for bytes), so that one of 5,000 documents does not hold up one of 10, and any
number of small ones does not hold up that one for ever.

Turns alone would break promises under overload: those who come later overtake a large request until its deadline is
past. So when somebody has no more time to spare, the earliest deadline goes first, whatever its priority, until all can
wait again. On one machine that order meets every deadline that any order can meet (Jackson 1955).

Shape letters: U pairs of one request, B pairs of a batch, T tickets.
"""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from crossrank.batching import Cost, cut
from crossrank.serving.errors import Expired, RequestError
from crossrank.serving.speed_margin import SpeedMargin

logger = logging.getLogger(__name__)

WINDOW = 4
"""Batches whose pairs are looked at together for pairs of like length, where padding costs."""
SPARE_BATCHES = 2
"""Batches that a deadline has to leave time for: the one that is being scored, and the one that is cut."""


class Ticket:
    """The pairs of one request, from the queue to their logits. `done` is called once, from any thread."""

    def __init__(
        self,
        ids_U: Sequence[NDArray[np.int32]],
        first_U: NDArray[np.int32],
        done: Callable[[Ticket], None],
        priority: int = 0,
        deadline: float | None = None,
    ) -> None:
        """A ticket to be put into a `Queue`.

        Args:
            ids_U, first_U: as in `EncodedPairs`.
            done: called when all logits are there, or `fault` is set.
            priority: lower goes first.
            deadline: moment on the clock of the queue at which pairs that are still queued are dropped.
        """
        self.ids_U = ids_U
        self.first_U = first_U
        self.priority = priority
        self.due = math.inf if deadline is None else deadline
        self.logits_U = np.full(len(ids_U), np.nan, dtype=np.float32)
        self.fault: RequestError | None = None
        self.started: float | None = None
        """Moment at which the first batch with a pair of the ticket was cut."""
        self.lengths_U = np.array([len(ids) for ids in ids_U], dtype=np.int64)
        self._done = done
        self._missing = len(ids_U)
        self._ended = False
        self._lock = threading.Lock()
        # What the queue keeps of it: pairs not yet in a batch, longest first, and its turn.
        self.pending: list[int] = np.argsort(-self.lengths_U, kind="stable").tolist()
        self.pending_tokens = int(self.lengths_U.sum())
        self.turn = 0.0
        self.sequence = 0

    @property
    def ended(self) -> bool:
        """Whether `done` was called."""
        return self._ended

    def deliver(self, units: Sequence[int], logits: NDArray[np.float32]) -> None:
        """Keep the logits of some pairs; the last ones end the ticket."""
        with self._lock:
            self.logits_U[list(units)] = logits
            self._missing -= len(units)
        if self._missing == 0:
            self._end(None)

    def fail(self, fault: RequestError) -> None:
        """End the ticket without its logits; one that has ended stays as it is."""
        self._end(fault)

    def _end(self, fault: RequestError | None) -> None:
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self.fault = fault
        try:
            self._done(self)
        except Exception:  # whoever waits may be gone; the thread that delivers goes on to the other tickets
            logger.exception("a request could not be told that it ended")


@dataclass(frozen=True, slots=True)
class Batch:
    """Pairs of one or more tickets that are scored together, longest first."""

    tickets_B: list[Ticket]
    units_B: list[int]

    @property
    def ids_B(self) -> list[NDArray[np.int32]]:
        return [ticket.ids_U[unit] for ticket, unit in zip(self.tickets_B, self.units_B, strict=True)]

    @property
    def first_B(self) -> NDArray[np.int32]:
        return np.array([t.first_U[u] for t, u in zip(self.tickets_B, self.units_B, strict=True)], dtype=np.int32)

    @property
    def num_tokens(self) -> int:
        return sum(int(t.lengths_U[u]) for t, u in zip(self.tickets_B, self.units_B, strict=True))

    def deliver(self, logits_B: NDArray[np.float32]) -> None:
        """Give each ticket its logits."""
        for ticket, places in self._places().items():
            ticket.deliver([self.units_B[place] for place in places], logits_B[places])

    def fail(self, fault: RequestError) -> None:
        """End every ticket that has a pair in it."""
        for ticket in self._places():
            ticket.fail(fault)

    def _places(self) -> dict[Ticket, list[int]]:
        places: dict[Ticket, list[int]] = {}
        for place, ticket in enumerate(self.tickets_B):
            places.setdefault(ticket, []).append(place)
        return places


class Queue:
    """Tickets in, batches out. Any thread may put and withdraw; one thread takes."""

    def __init__(
        self,
        budget: int,
        cost: Cost,
        clock: Callable[[], float] = time.monotonic,
        tokens_per_second: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """An empty queue.

        Args:
            budget: token slots of a batch.
            tokens_per_second: measured speed of the model; while it is 0, turns alone decide.
        """
        self.budget = budget
        """Token slots of a batch; may be lowered while the queue is in use. A pair over it is then scored alone."""
        self._cost = cost
        self._clock = clock
        self._tokens_per_second = tokens_per_second
        self.speed_margin = SpeedMargin(clock)
        """Share of the measured speed with which deadlines are reckoned."""
        self._tickets: dict[Ticket, None] = {}
        self._tokens = 0
        # By priority, the furthest turn that a ticket was brought to: by all batches, and by all but the last.
        self._furthest: dict[int, float] = {}
        self._begin: dict[int, float] = {}
        self._numbers = count()
        self._changed = threading.Condition()
        self._closed: RequestError | None = None
        self.waited = False
        """Whether there was nothing to take, for a moment at least, when somebody last took."""

    @property
    def num_tokens(self) -> int:
        """Tokens of all pairs that are in no batch yet."""
        return self._tokens

    @property
    def num_tickets(self) -> int:
        return len(self._tickets)

    def promised(self) -> list[tuple[float, int]]:
        """Deadline and tokens in no batch yet of each ticket; infinity for one without a deadline."""
        with self._changed:
            return [(ticket.due, ticket.pending_tokens) for ticket in self._tickets]

    def put(self, ticket: Ticket) -> None:
        """Add a ticket; one without pairs ends at once, and so does any when the queue is closed."""
        if not ticket.pending:
            ticket.deliver([], np.zeros(0, dtype=np.float32))
            return
        with self._changed:
            closed = self._closed
            if closed is None:
                # Before those that were in the last batch, but not before those that wait since longer.
                ticket.turn = self._begin.get(ticket.priority, 0.0)
                ticket.sequence = next(self._numbers)
                self._tickets[ticket] = None
                self._tokens += ticket.pending_tokens
                self._changed.notify()
        if closed is not None:
            ticket.fail(closed)

    def withdraw(self, ticket: Ticket, fault: RequestError) -> None:
        """Drop the pairs that are in no batch yet and end the ticket with this fault."""
        with self._changed:
            self._forget(ticket)
        if isinstance(fault, Expired):
            self.speed_margin.broken()
        ticket.fail(fault)

    def take(self, wait: bool = True) -> Batch | None:
        """The next batch, cut now; None when the queue is closed, or is empty and `wait` is false."""
        self.waited = False
        while True:
            with self._changed:
                expired = self._drop_expired()
                batch = self._cut() if self._tickets else None
                over = batch is not None or self._closed is not None or not wait
                if not over and not expired:
                    self.waited = True
                    self._changed.wait()
            if expired:
                self.speed_margin.broken()
            for ticket in expired:
                ticket.fail(Expired("the deadline passed before the model was free; raise timeout_ms, or send less"))
            if over:
                return batch

    def close(self, fault: RequestError) -> None:
        """End every ticket with this fault; `take` gives None from now on."""
        with self._changed:
            self._closed = fault
            tickets = list(self._tickets)
            for ticket in tickets:
                self._forget(ticket)
            self._changed.notify_all()
        for ticket in tickets:
            ticket.fail(fault)

    def _drop_expired(self) -> list[Ticket]:
        now = self._clock()
        # A ticket can also have ended by itself: another batch of it failed.
        gone = [t for t in self._tickets if t.ended or t.due <= now]
        for ticket in gone:
            self._forget(ticket)
        return [ticket for ticket in gone if not ticket.ended]

    def _forget(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            del self._tickets[ticket]
            self._tokens -= ticket.pending_tokens
            ticket.pending, ticket.pending_tokens = [], 0

    def _cut(self) -> Batch:
        """The batch that holds the pair whose turn it is."""
        budget, now = self.budget, self._clock()
        window = self._window(budget, hurry=self._spare_s(now) < 0.0)
        # A pair over the budget counts as all of it: it fills a batch alone.
        lengths = [min(int(ticket.lengths_U[unit]), budget) for ticket, unit in window]
        [chosen] = [batch for batch in cut(lengths, budget, self._cost) if 0 in batch]
        batch = Batch([window[place][0] for place in chosen], [window[place][1] for place in chosen])
        self._begin = dict(self._furthest)
        for ticket, taken in _by_ticket(batch).items():
            ticket.started = now if ticket.started is None else ticket.started
            tokens = sum(int(ticket.lengths_U[unit]) for unit in taken)
            ticket.turn += tokens
            self._furthest[ticket.priority] = max(self._furthest.get(ticket.priority, 0.0), ticket.turn)
            ticket.pending = [unit for unit in ticket.pending if unit not in taken]
            ticket.pending_tokens -= tokens
            if not ticket.pending:
                del self._tickets[ticket]
        if not self._tickets:  # nobody waits whose turn could be compared with a later one
            self._begin, self._furthest = {}, {}
        self._tokens -= batch.num_tokens
        return batch

    def _spare_s(self, now: float) -> float:
        """Seconds that the tightest ticket could still wait if all were scored in the order of their deadlines."""
        speed = self.speed_margin.share * self._tokens_per_second()
        if not speed:
            return math.inf
        due_T, tokens_T = np.array(sorted((ticket.due, ticket.pending_tokens) for ticket in self._tickets)).T
        ends_T = now + (np.cumsum(tokens_T) + SPARE_BATCHES * self.budget) / speed
        return float((due_T - ends_T).min())

    def _window(self, budget: int, hurry: bool) -> list[tuple[Ticket, int]]:
        """Pairs in the order of their turns: enough for one batch, or for several where padding costs.

        Args:
            hurry: take pairs in the order of the deadlines instead of the turns.
        """
        limit = budget * (WINDOW if self._cost == "padded" else 1)
        turns: list[tuple[float, float, int, int, Ticket]] = []
        for ticket in self._tickets:
            turns.append((ticket.due if hurry else ticket.priority, ticket.turn, ticket.sequence, 0, ticket))
        heapq.heapify(turns)
        window: list[tuple[Ticket, int]] = []
        total = 0
        while turns:
            first, turn, sequence, place, ticket = heapq.heappop(turns)
            unit = ticket.pending[place]
            length = int(ticket.lengths_U[unit])
            total += length
            if window and total > limit:
                break
            window.append((ticket, unit))
            if place + 1 < len(ticket.pending):
                heapq.heappush(turns, (first, turn + length, sequence, place + 1, ticket))
        return window


def _by_ticket(batch: Batch) -> dict[Ticket, set[int]]:
    taken: dict[Ticket, set[int]] = {}
    for ticket, unit in zip(batch.tickets_B, batch.units_B, strict=True):
        taken.setdefault(ticket, set()).add(unit)
    return taken
