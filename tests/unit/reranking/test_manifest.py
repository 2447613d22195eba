"""What a manifest tells of the speed."""

from __future__ import annotations

import pytest

from crossrank.reranking.manifest import Scoring


def scoring_of(*ends: float, pairs: int = 10) -> Scoring:
    scoring = Scoring()
    for n, end in enumerate(ends):
        told = {"started": end - 1.0, "seconds": 1.0, "worker": f"node:{n % 2}", "threads": 4, "rejected": "{}"}
        scoring.add({"pairs": pairs, "queries": 1, "tokens": 9, "padding": 1, "truncated_documents": 0, **told})
    return scoring


def test_the_steady_speed_leaves_out_the_first_and_the_last_tenth_of_the_blocks() -> None:
    # Two workers, the second 30 s later than the first, which then runs out of work 40 s before it.
    scoring = scoring_of(10.0, *[40.0 + n for n in range(18)], 97.0)
    assert scoring.steady_pairs_per_second == 10.0
    assert scoring.first_ended == 10.0
    assert (scoring.queries, scoring.pairs) == (20, 200)
    assert (scoring.workers, scoring.threads) == ({"node:0", "node:1"}, {4})


def test_blocks_may_be_told_in_any_order() -> None:
    assert scoring_of(4.0, 1.0, 3.0, 2.0, 5.0).steady_pairs_per_second == 10.0


@pytest.mark.parametrize("ends", [(), (1.0,), (1.0, 2.0), (1.0, 1.0, 1.0)], ids=len)
def test_a_speed_that_cannot_be_known_is_not_told(ends: tuple[float, ...]) -> None:
    assert scoring_of(*ends).steady_pairs_per_second is None
