"""How many queries make a block: small enough that a kill loses little, large enough that starting one is cheap."""

from __future__ import annotations

from crossrank.derived import Derived

TARGET_S = 30.0
"""Measured work of a block on one worker. A kill loses half of one a worker, on average."""
LEAST_BLOCKS = 100
"""No block is over 1 % of the job."""
LEAST_BLOCKS_OF_A_WORKER = 20
"""With fewer, most workers of a large cluster wait while the last blocks are scored: half of one each, on average."""
MOST_PAIRS = 200_000
"""Pairs of a block at most, whatever the speed: a worker holds one block in memory."""


def queries_per_block(num_queries: int, num_pairs: int, pairs_per_second: float, workers: int) -> Derived[int]:
    """Queries of a block, at least 1, with the reason.

    Args:
        pairs_per_second: measured speed of one worker.
        workers: how many share the job.
    """
    pairs_per_query = max(num_pairs / max(num_queries, 1), 1.0)
    bounds = [
        (pairs_per_second * TARGET_S / pairs_per_query, f"{TARGET_S:.0f} s of work"),
        (num_queries / LEAST_BLOCKS, "1 % of the job"),
        (
            num_queries / max(workers, 1) / LEAST_BLOCKS_OF_A_WORKER,
            f"{1 / LEAST_BLOCKS_OF_A_WORKER:.0%} of what one of {workers} workers does",
        ),
        (MOST_PAIRS / pairs_per_query, f"{MOST_PAIRS:,} pairs in memory"),
    ]
    most, why = min(bounds)
    return Derived(max(1, int(most)), f"at most {why}")
