"""A queue with a clock that stands still, and what became of the tickets that were put into it."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from crossrank.batching import Cost
from crossrank.serving.fair_queue import Batch, Queue, Ticket

BUDGET = 40


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A queue, and what became of the tickets that were made for it."""

    def __init__(self, budget: int = BUDGET, cost: Cost = "packed", tokens_per_second: float = 0.0) -> None:
        self.clock = Clock()
        self.queue = Queue(budget, cost, self.clock, lambda: tokens_per_second)
        self.cost = cost
        self.ended: Counter[Ticket] = Counter()

    def ticket(self, lengths: list[int], priority: int = 0, deadline: float | None = None) -> Ticket:
        def done(ticket: Ticket) -> None:
            self.ended[ticket] += 1

        ids = [np.full(length, unit, dtype=np.int32) for unit, length in enumerate(lengths)]
        return Ticket(ids, np.array(lengths, dtype=np.int32), done, priority, deadline)

    def put(self, lengths: list[int], priority: int = 0, deadline: float | None = None) -> Ticket:
        ticket = self.ticket(lengths, priority, deadline)
        self.queue.put(ticket)
        return ticket

    def take(self) -> Batch:
        batch = self.queue.take(wait=False)
        assert batch is not None
        return batch

    def score(self) -> Batch:
        """Take a batch and give each pair its own number as its logit."""
        batch = self.take()
        batch.deliver(own_logits(batch))
        return batch

    def batches_until_done(self, ticket: Ticket, at_most: int) -> int:
        for taken in range(1, at_most + 1):
            self.score()
            if ticket.ended:
                return taken
        raise AssertionError(f"not done after {at_most} batches")


def own_logits(batch: Batch) -> NDArray[np.float32]:
    return np.array([ids[0] for ids in batch.ids_B], dtype=np.float32)


def cost_of(batch: Batch, cost: Cost) -> int:
    lengths = [len(ids) for ids in batch.ids_B]
    return len(lengths) * max(lengths) if cost == "padded" else sum(lengths)


def shares(batch: Batch) -> Counter[Ticket]:
    return Counter(batch.tickets_B)
