"""Queries per block: few enough that a kill loses little, many enough that starting a block is cheap."""

from __future__ import annotations

from crossrank.derived import Derived

TARGET_S = 30.0
"""Seconds of measured work per block on one worker. A kill loses half a block per worker, on average."""
LEAST_BLOCKS = 100
"""Fewest blocks of a job: no block is over 1 % of it."""
LEAST_BLOCKS_OF_A_WORKER = 20
"""Fewest blocks per worker. With fewer, most workers of a large cluster wait for the last blocks to be scored."""
MOST_PAIRS = 200_000
"""Most pairs of a block, at any speed: a worker holds one block in memory."""


def queries_per_block(num_queries: int, num_pairs: int, pairs_per_second: float, workers: int) -> Derived[int]:
    """Work out the number of queries per block, at least 1, with the reason.

    Args:
        pairs_per_second: measured speed of one worker.
        workers: number of workers that share the job.
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
