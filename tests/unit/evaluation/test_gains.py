"""nDCG with labels of any size as gains: by hand, and against two libraries where they can follow."""

from __future__ import annotations

import math
import random

import ir_measures
import numpy as np
import pytest

from crossrank.evaluation.gains import ndcg
from crossrank.evaluation.measures import Judged, measure
from tests.unit.evaluation.test_measures import drawn

SECOND = 1 / math.log2(3)
"""What rank 2 is worth."""


def test_a_fraction_is_a_gain_of_that_size() -> None:
    # The better document stands second: (0.25 + 1 * 0.631) / (1 + 0.25 * 0.631).
    found = ndcg(["a", "b"], {"a": 0.25, "b": 1.0}, 10)
    assert found == pytest.approx((0.25 + SECOND) / (1 + 0.25 * SECOND))
    assert found == pytest.approx(0.7609, abs=1e-4)
    assert found != 1, "both rounded to 1, their order would not matter"


def test_a_fraction_above_one_is_not_cut_to_the_whole_number_below() -> None:
    assert ndcg(["a", "b"], {"a": 1.2, "b": 1.8}, 10) == pytest.approx((1.2 + 1.8 * SECOND) / (1.8 + 1.2 * SECOND))


@pytest.mark.parametrize("size", [1e-300, 0.5, 255, 2**31 - 1, 2**31, 3e9, 2**63, 1e300])
def test_labels_of_any_size_are_measured_alike(size: float) -> None:
    labels = {"a": size, "b": size / 2}
    for ranking, expected in (
        (["b", "a"], (0.5 + SECOND) / (1 + 0.5 * SECOND)),
        (["x", "a"], SECOND / (1 + SECOND / 2)),
    ):
        found = measure([Judged(ranking, labels)], ["ndcg@10", "mrr@10", "success@1", "map"])
        assert found["ndcg@10"][0] == pytest.approx(expected)
        assert found["mrr@10"][0] == (1 if ranking[0] == "b" else 0.5), "a relevant document is found by all measures"
        assert found["success@1"][0] == (ranking[0] == "b")


def test_two_labels_at_the_end_of_what_a_float_holds_do_not_add_up_to_infinity() -> None:
    assert ndcg(["a", "b"], {"a": 1.7e308, "b": 1.7e308}, 10) == 1


def test_a_label_below_0_gains_nothing_and_costs_nothing() -> None:
    assert ndcg(["spam", "a"], {"spam": -2.0, "a": 1.0}, 10) == pytest.approx(SECOND)
    assert ndcg(["a", "spam"], {"spam": -2.0, "a": 1.0}, 10) == 1
    assert ndcg(["spam"], {"spam": -1.0}, 10) == 0


def test_whole_labels_give_what_ir_measures_gives() -> None:
    queries = [drawn(seed) for seed in range(300)]
    for cutoff in (1, 3, 10, 100):
        qrels = {
            str(place): {doc_id: int(label) for doc_id, label in query.labels.items()}
            for place, query in enumerate(queries)
        }
        run = {
            str(place): {doc_id: -float(rank) for rank, doc_id in enumerate(query.ranking)}
            for place, query in enumerate(queries)
        }
        theirs = {
            int(each.query_id): each.value for each in ir_measures.iter_calc([ir_measures.nDCG @ cutoff], qrels, run)
        }
        ours = measure(queries, [f"ndcg@{cutoff}"])[f"ndcg@{cutoff}"]
        assert ours == pytest.approx([theirs[place] for place in range(300)], abs=1e-12)


def test_real_labels_give_what_scikit_learn_gives() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    draw = random.Random(7)
    for _ in range(100):
        ranking = [f"d{number}" for number in range(draw.randint(2, 20))]
        labels = {doc_id: draw.choice([0.0, draw.random() * 3]) for doc_id in ranking}
        cutoff = draw.randint(1, 25)
        expected = sklearn.ndcg_score(
            [[labels[doc_id] for doc_id in ranking]], [-np.arange(len(ranking))], k=cutoff, ignore_ties=True
        )
        assert ndcg(ranking, labels, cutoff) == pytest.approx(expected, abs=1e-12)
