"""The measures of a model that guesses, against every order there is."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from crossrank.evaluation.measures import Judged, expected, measure

NAMES = ["success@1", "success@3", "mrr@10", "mrr@2", "ndcg@10", "ndcg@2"]


@pytest.mark.parametrize(
    "labels",
    [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, np.nan, 0.0, np.nan],
        [0.2, 3.0, 0.0, -1.0],
        [1.0, 1.0],
        [2.5],
        [0.0, np.nan],
    ],
)
def test_it_is_the_mean_over_all_orders(labels: list[float]) -> None:
    judged = {str(place): label for place, label in enumerate(labels) if not np.isnan(label)}
    orders = [Judged(list(order), judged) for order in permutations([str(place) for place in range(len(labels))])]
    for name, values in measure(orders, NAMES).items():
        assert expected(name, np.array(labels)) == pytest.approx(float(np.mean(values)), abs=1e-12), name


def test_one_of_eight_is_found_by_chance_at_a_third() -> None:
    # (1 + 1/2 + ... + 1/8) / 8.
    assert expected("mrr@10", np.array([1.0, *[0.0] * 7])) == pytest.approx(0.3397, abs=1e-4)


def test_a_thousand_documents_are_no_trouble() -> None:
    labels = np.array([1.0] * 400 + [0.0] * 600)
    assert 0 < expected("mrr@10", labels) < expected("success@3", labels) < 1
