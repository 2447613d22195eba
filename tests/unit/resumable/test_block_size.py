"""How many queries a block has, by hand."""

import pytest

from crossrank.resumable.block_size import queries_per_block


@pytest.mark.parametrize(
    ("num_queries", "num_pairs", "pairs_per_second", "workers", "size", "why"),
    [
        # 10,000 queries of 100 candidates: 1 % is 100 queries, 30 s are 200 * 30 / 100 = 60.
        (10_000, 1_000_000, 200.0, 4, 60, "at most 30 s of work"),
        (5_000, 500_000, 200.0, 4, 50, "at most 1 % of the job"),
        # A fast worker and a large job: 200,000 pairs are 2,000 queries of 100.
        (1_000_000, 100_000_000, 50_000.0, 4, 2_000, "at most 200,000 pairs in memory"),
        # Forty workers: 800 blocks of them, where 100 would leave each with two or three.
        (10_000, 1_000_000, 200.0, 40, 12, "at most 5% of what one of 40 workers does"),
    ],
)
def test_the_tightest_of_its_bounds_holds(
    num_queries: int, num_pairs: int, pairs_per_second: float, workers: int, size: int, why: str
) -> None:
    chosen = queries_per_block(num_queries, num_pairs, pairs_per_second, workers)
    assert (chosen.value, chosen.why) == (size, why)


@pytest.mark.parametrize(
    ("num_queries", "num_pairs", "pairs_per_second"),
    [(1, 100, 1000.0), (99, 9900, 1000.0), (10**6, 10**9, 0.001), (5, 0, 10.0), (0, 0, 10.0), (10**6, 10**12, 10.0**9)],
)
def test_a_block_has_at_least_one_query(num_queries: int, num_pairs: int, pairs_per_second: float) -> None:
    assert queries_per_block(num_queries, num_pairs, pairs_per_second, 1).value == 1


def test_queries_without_candidates_do_not_make_a_block_endless() -> None:
    # Almost no pairs: a query counts as one pair at least, so 30 s at 10 pairs/s are 300 queries.
    assert queries_per_block(10**6, 10, 10.0, 1).value == 300
