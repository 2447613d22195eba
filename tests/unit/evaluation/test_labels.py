"""Labels from files of every kind to the figures of a report, without any model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.formats.groups_parquet import write_groups
from crossrank.records import Candidate, Group
from crossrank.training.groups import GroupSource
from crossrank.training.validation import initial_order
from crossrank.training.validation import measure as validate

SECOND, THIRD = 1 / math.log2(3), 1 / 2
"""What rank 2 and rank 3 are worth to nDCG."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


def group(query_id: str, *labels: Any) -> str:
    """A line of groups whose documents stand in the order of their ranks."""
    docs = [
        {"doc_id": f"d{rank}", "text": f"text {rank}", "label": label, "rank": rank}
        for rank, label in enumerate(labels, start=1)
    ]
    return json.dumps({"query_id": query_id, "query": f"about {query_id}", "docs": docs}) + "\n"


def means(folder: Path, content: str, **more: Any) -> dict[str, float]:
    """The means of the row without a reranker."""
    (folder / "g.jsonl").write_text(content)
    results = evaluate(EvaluateSettings(groups=str(folder / "g.jsonl"), output=str(folder / "out"), **more))
    found = results["tables"]["retrieved"]["means"]["no reranker"]
    return {name: each["mean"] for name, each in found.items()}


def test_fractions_are_gains_as_they_stand(tmp_path: Path) -> None:
    found = means(tmp_path, group("q", 0.2, 0.9, 0.4))
    ideal = 0.9 + 0.4 * SECOND + 0.2 * THIRD
    assert found["ndcg@10"] == pytest.approx((0.2 + 0.9 * SECOND + 0.4 * THIRD) / ideal)
    assert found["ndcg@10"] < 0.8, "rounded, all three would be 1, and nDCG 1"
    assert found["mrr@10"] == 1


@pytest.mark.parametrize("label", [3e9, 2**31, 2**31 - 1, 1e30, 1e300])
def test_a_huge_label_takes_no_memory_and_is_a_hit_to_every_measure(tmp_path: Path, label: float) -> None:
    found = means(tmp_path, group("q", 0, label))
    assert found["ndcg@10"] == pytest.approx(SECOND)
    assert (found["mrr@10"], found["map"]) == (0.5, 0.5)


def test_training_validates_by_the_same_values(tmp_path: Path) -> None:
    content = group("q1", 0.2, 0.9, None, 0.4) + group("q2", -1, 2**31, 3) + group("q3", 0, 0, 1e300, 5e299)
    found = means(tmp_path, content)
    file = str(tmp_path / "g.jsonl")
    store = GroupSource(file, fingerprint_of_groups(file), "validate").open()
    held_out = validate(store, initial_order).means()
    for name in ("mrr@10", "ndcg@10", "success@3"):
        assert held_out[name] == pytest.approx(found[name], abs=1e-12)
        assert np.isfinite(held_out[name])


@pytest.mark.parametrize("label", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_label_that_is_no_finite_number_is_set_aside_and_the_sentence_says_which(tmp_path: Path, label: str) -> None:
    bad = group("q2", 0, 7.25).replace("7.25", label)
    assert means(tmp_path, group("q1", 0, 1) + bad)["mrr@10"] == 0.5
    alone = tmp_path / "alone"
    alone.mkdir()
    told = rf"measure on that can be used \(1 malformed; the first, .*g.jsonl line 1: not JSON: .*{label.lstrip('-')}"
    with pytest.raises(InputError, match=told):
        means(alone, bad)


def qrels(folder: Path, judged: str, **more: Any) -> dict[str, Any]:
    """The results of the row without a reranker, by judgements of d1, d2 and d3 in this order."""
    (folder / "c.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{n}", "text": f"text {n}"}) + "\n" for n in (1, 2, 3))
    )
    (folder / "q.jsonl").write_text('{"_id": "q", "text": "text"}\n')
    (folder / "run.trec").write_text("".join(f"q Q0 d{n} {n} {9 - n} run\n" for n in (1, 2, 3)))
    (folder / "judged").write_text(judged)
    inputs: dict[str, Any] = {
        name: str(folder / file) for name, file in (("queries", "q.jsonl"), ("corpus", "c.jsonl"))
    }
    return evaluate(
        EvaluateSettings(
            **inputs,
            qrels=str(folder / "judged"),
            candidates=str(folder / "run.trec"),
            output=str(folder / "out"),
            **more,
        )
    )


@pytest.mark.parametrize(
    "judged", ["q 0 d1 +1\nq 0 d2 1e9\nq 0 d3 -2\n", "query-id\tcorpus-id\tscore\nq\td1\t+1\nq\td2\t1e9\nq\td3\t-2\n"]
)
def test_judgements_written_as_numbers_may_be_are_read_as_numbers(tmp_path: Path, judged: str) -> None:
    found = qrels(tmp_path, judged)["tables"]["retrieved"]["means"]["no reranker"]
    assert found["ndcg@10"]["mean"] == pytest.approx((1 + 1e9 * SECOND) / (1e9 + SECOND))
    assert found["mrr@10"]["mean"] == 1


def test_a_judgement_that_is_no_number_is_set_aside_with_its_line(tmp_path: Path) -> None:
    results = qrels(tmp_path, "q 0 d1 high\nq 0 d2 nan\nq 0 d3 1.5\n")
    assert results["set_aside"] == {"malformed": 1, "score_not_finite": 1}
    assert results["tables"]["retrieved"]["means"]["no reranker"]["mrr@10"]["mean"] == pytest.approx(1 / 3)


def test_relevant_from_moves_the_hits_and_leaves_ndcg_and_the_scores_as_they_were(tmp_path: Path) -> None:
    content = group("q1", 1, 3, 0) + group("q2", 2, 0, 1) + group("q3", 1, 0)
    any_above_0 = means(tmp_path, content)
    assert any_above_0["mrr@10"] == 1
    # The same output: what is relevant is asked after scoring.
    from_two = means(tmp_path, content, relevant_from=2.0)
    assert from_two["mrr@10"] == pytest.approx((1 / 2 + 1 + 0) / 3), "q3 has none, and counts 0"
    assert from_two["recall@10"] == pytest.approx(2 / 3)
    assert from_two["ndcg@10"] == any_above_0["ndcg@10"]
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Relevant is a document labelled 2 or more" in report
    assert "1 judged query has no document labelled 2 or more" in report
    assert means(tmp_path, content) == any_above_0


def test_relevant_from_above_every_label_is_refused_with_the_highest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--relevant-from is 4, and the highest label is 3; use that or less"):
        means(tmp_path, group("q1", 1, 3, 0), relevant_from=4.0)
    assert means(tmp_path, group("q1", 1, 3, 0), relevant_from=3.0)["mrr@10"] == 0.5, "the output takes the mended flag"


@pytest.mark.parametrize("given", [0.0, -1.0, math.nan, math.inf])
def test_relevant_from_has_to_be_a_number_above_0(given: float) -> None:
    with pytest.raises(SettingsError, match=r"--relevant-from is .*; use a number above 0"):
        EvaluateSettings(groups="g", output="out", relevant_from=given)


@pytest.mark.parametrize("label", [math.nan, math.inf])
def test_a_label_of_parquet_that_is_no_finite_number_is_set_aside_with_its_document(
    tmp_path: Path, label: float
) -> None:
    groups = [
        Group(q, "about it", (Candidate("d1", "text", label=1.0, rank=1), Candidate("d2", "more", label=other, rank=2)))
        for q, other in (("q1", 0.0), ("q2", label))
    ]
    write_groups(str(tmp_path / "g.parquet"), groups)
    results = evaluate(EvaluateSettings(groups=str(tmp_path / "g.parquet"), output=str(tmp_path / "out")))
    assert (results["queries"], results["set_aside"]) == (1, {"score_not_finite": 1})
    write_groups(str(tmp_path / "bad.parquet"), groups[1:])
    with pytest.raises(InputError, match=r"the first, .* line 1 q2: docs\[1\]\.label is (nan|inf)"):
        evaluate(EvaluateSettings(groups=str(tmp_path / "bad.parquet"), output=str(tmp_path / "bad")))
