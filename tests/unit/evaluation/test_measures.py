"""Measures of rankings, against their formulas written here."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from crossrank.errors import SettingsError
from crossrank.evaluation.measures import MAIN, MEASURES, VALIDATED, Judged, measure, parse, reported, tie_rate

NAMES = ["success@1", "success@3", "mrr@10", "ndcg@10", "ndcg@3", "recall@5", "precision@5", "map", "map@4"]


def by_hand(name: str, ranking: Sequence[str], labels: Mapping[str, float]) -> float:
    """The formula of a measure, as its definition has it."""
    kind, _, cutoff = name.partition("@")
    top = ranking[: int(cutoff)] if cutoff else ranking
    is_relevant = [labels.get(doc_id, 0) > 0 for doc_id in top]
    num_relevant = sum(label > 0 for label in labels.values())
    if kind == "success":
        return float(any(is_relevant))
    if kind == "mrr":
        return next((1 / rank for rank, hit in enumerate(is_relevant, start=1) if hit), 0.0)
    if kind == "recall":
        return sum(is_relevant) / num_relevant if num_relevant else 0.0
    if kind == "precision":
        return sum(is_relevant) / int(cutoff)
    if kind == "map":
        hits = [sum(is_relevant[:rank]) / rank for rank, hit in enumerate(is_relevant, start=1) if hit]
        return sum(hits) / num_relevant if num_relevant else 0.0
    gains = [max(labels.get(doc_id, 0), 0) for doc_id in top]
    ideal = sorted((label for label in labels.values() if label > 0), reverse=True)[
        : len(top) if cutoff == "" else None
    ]
    best = _discounted(ideal[: int(cutoff)])
    return _discounted(gains) / best if best else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def drawn(seed: int) -> Judged:
    """A ranking of up to 20 of 30 documents, of which some are judged, some of them relevant."""
    draw = random.Random(seed)
    documents = [f"d{number}" for number in range(30)]
    labels = {
        doc_id: float(draw.choice([0, 0, 0, 1, 1, 2, 3])) for doc_id in draw.sample(documents, draw.randint(1, 12))
    }
    return Judged(draw.sample(documents, draw.randint(1, 20)), labels)


def test_every_measure_of_the_table_has_its_formula_above() -> None:
    assert {name.partition("@")[0] for name in NAMES} == set(MEASURES)


def test_the_report_and_the_validations_of_training_show_these_measures() -> None:
    assert reported(5) == ["success@5", "mrr@10", "ndcg@10", "recall@10", "map"]
    assert VALIDATED == ("mrr@10", "ndcg@10", "success@3")
    assert MAIN in reported(3)


@pytest.mark.parametrize("name", VALIDATED)
def test_a_measure_that_chooses_a_checkpoint_says_what_guessing_gives(name: str) -> None:
    row, cutoff = parse(name)
    assert row.guessed is not None
    assert cutoff is not None


@pytest.mark.parametrize("name", NAMES)
def test_each_measure_is_its_formula_on_two_hundred_rankings(name: str) -> None:
    queries = [drawn(seed) for seed in range(200)]
    expected = [by_hand(name, query.ranking, query.labels) for query in queries]
    found = measure(queries, NAMES)[name]
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0 < np.mean(found) < 1


def test_a_ranking_by_hand() -> None:
    # Relevant at 2 and 5, and one that was not retrieved: MAP = (1/2 + 2/5) / 3.
    query = Judged(["a", "b", "c", "d", "e"], {"b": 1, "e": 1, "z": 1, "a": 0})
    found = {name: float(values[0]) for name, values in measure([query], NAMES).items()}
    assert found["mrr@10"] == 0.5
    assert found["success@1"] == 0
    assert found["success@3"] == 1
    assert found["recall@5"] == pytest.approx(2 / 3)
    assert found["precision@5"] == pytest.approx(2 / 5)
    assert found["map"] == pytest.approx(0.3)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(6)) / ideal)


def test_a_query_without_a_ranking_counts_as_nothing_found_and_keeps_its_place() -> None:
    queries = [Judged(["a"], {"a": 1}), Judged([], {"a": 1}), Judged(["a"], {"a": 1})]
    assert measure(queries, ["mrr@10"])["mrr@10"].tolist() == [1, 0, 1]
    assert measure([Judged([], {"a": 1})], ["ndcg@10"])["ndcg@10"].tolist() == [0]


def test_a_query_whose_judgements_are_all_negative_counts_as_nothing_found() -> None:
    queries = [Judged(["a"], {"a": 0}), Judged(["a"], {}), Judged(["a"], {"a": 1})]
    for values in measure(queries, NAMES).values():
        assert values[:2].tolist() == [0, 0]


def test_the_order_given_is_the_order_measured_whatever_the_ids() -> None:
    # trec_eval puts the later id first where scores are equal, and the msmarco tool the earlier.
    for ranking in (["a", "z"], ["z", "a"]):
        expected = [1 / (1 + ranking.index("z"))]
        assert measure([Judged(ranking, {"z": 1})], ["mrr@10"])["mrr@10"].tolist() == expected


def test_a_positive_worth_less_than_a_half_is_still_relevant() -> None:
    assert measure([Judged(["a"], {"a": 0.2})], ["success@1"])["success@1"].tolist() == [1]


def test_queries_in_thousands_keep_their_order() -> None:
    queries = [Judged(["a", "b"], {"a" if number % 3 else "b": 1}) for number in range(4500)]
    assert measure(queries, ["mrr@10"])["mrr@10"].tolist() == [1 if number % 3 else 0.5 for number in range(4500)]


def test_no_queries_have_no_values() -> None:
    assert measure([], ["mrr@10"])["mrr@10"].tolist() == []


@pytest.mark.parametrize("name", ["mrr", "mrr@0", "ndcg@x", "hits@3", "map@", "", "success@03"])
def test_what_is_no_measure_is_refused(name: str) -> None:
    with pytest.raises(
        SettingsError,
        match=r"is no measure; use success@K, mrr@K, ndcg@K, recall@K, precision@K, map or map@K with K from 1",
    ):
        measure([Judged(["a"], {"a": 1})], [name])


def test_the_tie_rate_is_the_share_of_documents_that_share_a_score_in_their_query() -> None:
    assert tie_rate([np.array([1.0, 1.0, 2.0, 3.0]), np.array([1.0, 5.0])]) == pytest.approx(2 / 6)
    assert tie_rate([]) == 0


def test_from_which_label_a_document_is_relevant_decides_hits_and_leaves_gains() -> None:
    # TREC Deep Learning: 1 is "related", and counts for nDCG alone.
    queries = [Judged(["related", "right", "none"], {"related": 1, "right": 3, "none": 0, "missed": 2})]
    found = {name: float(values[0]) for name, values in measure(queries, NAMES, relevant_from=2).items()}
    assert found["success@1"] == 0, "what stands first is related and no more"
    assert found["mrr@10"] == 0.5
    assert found["recall@5"] == 0.5, "1 of the 2 that are labelled 2 or more"
    assert found["precision@5"] == pytest.approx(1 / 5)
    assert found["map"] == pytest.approx((1 / 2) / 2)
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert found["ndcg@10"] == pytest.approx((1 + 3 / math.log2(3)) / ideal)
    assert found["ndcg@10"] == measure(queries, ["ndcg@10"])["ndcg@10"][0]


def test_a_label_equal_to_the_least_is_relevant_and_one_just_below_is_not() -> None:
    for label, expected in ((1.5, 1), (1.4999, 0)):
        assert measure([Judged(["a"], {"a": label})], ["mrr@10"], relevant_from=1.5)["mrr@10"].tolist() == [expected]


def test_hits_are_those_of_ir_measures_at_its_own_level_of_relevance() -> None:
    import ir_measures

    queries = [drawn(seed) for seed in range(100)]
    theirs = {"mrr@10": ir_measures.RR(rel=2) @ 10, "recall@5": ir_measures.R(rel=2) @ 5, "map": ir_measures.AP(rel=2)}
    qrels = {str(n): {d: int(label) for d, label in query.labels.items()} for n, query in enumerate(queries)}
    run = {str(n): {d: -float(rank) for rank, d in enumerate(query.ranking)} for n, query in enumerate(queries)}
    ours = measure(queries, list(theirs), relevant_from=2)
    for name, kind in theirs.items():
        values = {int(each.query_id): each.value for each in ir_measures.iter_calc([kind], qrels, run)}
        assert ours[name] == pytest.approx([values.get(n, 0.0) for n in range(100)], abs=1e-9)
