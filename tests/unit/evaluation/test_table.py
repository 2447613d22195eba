"""The figures of a report from the values of its rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossrank.evaluation.facts import Facts
from crossrank.evaluation.rows import TABLES, Row, ScoredPairs
from crossrank.evaluation.systems import Scale
from crossrank.evaluation.table import results_of

MEASURES = ["success@3", "mrr@10"]


def row_of(
    name: str,
    mrr: list[float],
    *,
    model: str | None = "M",
    incomplete: int = 0,
    scores: ScoredPairs | None = None,
    scale: Scale = "logit",
) -> Row:
    values = {"mrr@10": np.array(mrr), "success@3": (np.array(mrr) > 0.3).astype(float)}
    return Row(
        name,
        model,
        dict.fromkeys(TABLES, values),
        np.zeros(len(mrr), dtype=np.int32),
        np.zeros(len(mrr), dtype=np.int32),
        0.0,
        incomplete,
        {},
        scores,
        scale,
    )


def facts_of(count: int, **more: Any) -> list[Facts]:
    one = Facts(retrieved=1, elsewhere={}, query_characters=0, document_characters=5, source=None)
    return [replace(one, **{"query_characters": 10 + number, **more}) for number in range(count)]


def results(rows: list[Row], facts: list[Facts]) -> dict[str, Any]:
    return results_of(rows, facts, MEASURES, resamples=200, seed=0)


def test_every_model_is_compared_with_the_first_stage_and_with_the_first_model() -> None:
    rows = [
        row_of("no reranker", [0.5, 0.5, 0.0, 0.5], model=None),
        row_of("base", [1.0, 0.5, 0.5, 0.5]),
        row_of("tuned", [1.0, 1.0, 0.5, 0.25]),
    ]
    found = results(rows, facts_of(4))["tables"]["retrieved"]
    assert found["means"]["base"]["mrr@10"]["mean"] == 0.625
    of_mrr = [each for each in found["differences"] if each["measure"] == "mrr@10"]
    assert [(each["row"], each["against"]) for each in of_mrr] == [
        ("base", "no reranker"),
        ("tuned", "no reranker"),
        ("tuned", "base"),
    ]
    last = of_mrr[-1]
    assert last["difference"]["mean"] == pytest.approx((0 + 0.5 + 0 - 0.25) / 4)
    assert (last["better"], last["worse"]) == (1, 1)
    # Of the four ways to toss 0.5 and -0.25 all but none are as far from 0 as 0.25: 0.75, 0.25, -0.25, -0.75.
    assert last["p_value"] == 1
    # Against the first stage 0.5, 0, 0.5, 0: two of four tosses are as far. Three comparisons, the smallest times 3.
    assert of_mrr[0]["p_value"] == 0.5
    assert of_mrr[0]["p_holm"] == 1


def test_a_row_that_lacks_queries_is_compared_with_nothing() -> None:
    rows = [
        row_of("no reranker", [0.5, 0.5], model=None),
        row_of("server", [1.0, 0.0], incomplete=1),
        row_of("b", [1.0, 1.0]),
    ]
    found = results(rows, facts_of(2))
    assert {(each["row"], each["against"]) for each in found["tables"]["retrieved"]["differences"]} == {
        ("b", "no reranker")
    }
    assert found["rows"][1]["incomplete"] == 1


def test_one_query_has_no_interval() -> None:
    found = results([row_of("no reranker", [0.5], model=None), row_of("a", [1.0])], facts_of(1))["tables"]["retrieved"]
    assert found["means"]["a"]["mrr@10"] == {"mean": 1.0, "interval": None}
    assert found["differences"][-1]["difference"] == {"mean": 0.5, "interval": None}


def test_slices_are_thirds_that_hold_every_query_once() -> None:
    found = results([row_of("a", [1.0, 0.0, 0.5] * 20)], facts_of(60))["slices"]["query length"]
    assert [each["queries"] for each in found] == [20, 20, 20]
    assert found[0]["slice"] == "10 to 29 characters"
    assert found[0]["means"]["a"]["mrr@10"] == pytest.approx(np.mean(([1.0, 0.0, 0.5] * 20)[:20]))


def test_lengths_that_are_all_equal_make_no_slices() -> None:
    found = results([row_of("a", [1.0] * 60)], facts_of(60, query_characters=7))
    assert "query length" not in found["slices"]
    assert "source" not in found["slices"]


def test_sources_with_ten_queries_and_more_are_slices() -> None:
    facts = facts_of(20, source="wiki") + facts_of(15, source="news") + facts_of(3, source="rare")
    found = results([row_of("a", [1.0] * 20 + [0.5] * 15 + [0.0] * 3)], facts)["slices"]["source"]
    assert {each["slice"]: (each["queries"], each["means"]["a"]["mrr@10"]) for each in found} == {
        "wiki": (20, 1.0),
        "news": (15, 0.5),
    }


def test_reliability_is_over_judged_documents_alone() -> None:
    # The sigmoid of 0 is a half, which is the bin from 0.5; of -3 it is 0.047.
    scores = ScoredPairs(
        np.array([0, 0, 0, 0, -3, -3], dtype=np.float32), np.array([1, 0, 1, np.nan, 0, np.nan], dtype=np.float32)
    )
    found = results([row_of("a", [1.0, 1.0], scores=scores)], facts_of(2))["scores"]["a"]
    low, half = found["reliability"]
    assert low == {"predicted": pytest.approx(0.0474, abs=1e-4), "relevant": 0.0, "documents": 1}
    assert half == {"predicted": 0.5, "relevant": pytest.approx(2 / 3), "documents": 3}
    assert sum(found["relevant"]) == 2
    assert sum(found["other"]) == 4, "unjudged documents are among the others"


def test_a_server_that_answers_with_probabilities_is_taken_at_its_word() -> None:
    # Through the sigmoid 0.9 would be 0.711, and 0.1 would be 0.525: both in the upper half.
    scores = ScoredPairs(np.array([0.9, 0.9, 0.1], dtype=np.float32), np.array([1, 0, 0], dtype=np.float32))
    found = results([row_of("a", [1.0, 1.0], scores=scores, scale="probability")], facts_of(2))
    assert found["scores"]["a"]["reliability"] == [
        {"predicted": pytest.approx(0.1), "relevant": 0.0, "documents": 1},
        {"predicted": pytest.approx(0.9), "relevant": 0.5, "documents": 2},
    ]
    assert found["rows"][0]["scale"] == "probability"


def test_a_cosine_foretells_no_probability() -> None:
    scores = ScoredPairs(np.array([0.9, 0.1], dtype=np.float32), np.array([1, 0], dtype=np.float32))
    found = results([row_of("a", [1.0, 1.0], scores=scores, scale="cosine")], facts_of(2))
    assert found["scores"]["a"]["reliability"] == []
    assert sum(found["scores"]["a"]["relevant"]) == 1


def test_the_first_stage_has_no_scale() -> None:
    assert results([row_of("no reranker", [1.0, 1.0], model=None)], facts_of(2))["rows"][0]["scale"] is None
