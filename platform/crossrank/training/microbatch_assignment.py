"""Assignment of the micro-batches of a step to ranks.

A step is cut into micro-batches first, the same for any number of ranks; `deal` then says who computes them.

Shape letters: M micro-batches of a step.
"""

from __future__ import annotations

from collections.abc import Sequence


def deal(costs_M: Sequence[int], num_ranks: int) -> list[list[int]]:
    """The numbers of the micro-batches of each rank, so that no rank has much more to do than the others.

    The costliest micro-batch is dealt first, each to the rank that has least so far: at most 4/3 of the best possible
    (Graham, Bounds on multiprocessing timing anomalies, 1969). A rank may get none, where there are fewer than ranks.
    """
    hands: list[list[int]] = [[] for _ in range(num_ranks)]
    totals = [0] * num_ranks
    for number in sorted(range(len(costs_M)), key=lambda number: -costs_M[number]):
        rank = min(range(num_ranks), key=totals.__getitem__)
        hands[rank].append(number)
        totals[rank] += costs_M[number]
    return [sorted(hand) for hand in hands]
