"""What the report says at its top: one sentence that the figures bear out."""

from __future__ import annotations

from typing import Any

import pytest

from crossrank.evaluation.about import about
from crossrank.evaluation.cells import difference_tables, mean_cells
from crossrank.evaluation.report import as_markdown, as_text
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.evaluation.table import results_of
from crossrank.evaluation.verdict import verdict_of
from tests.unit.evaluation.test_table import MEASURES, facts_of, row_of


def results(**mrr: list[float]) -> dict[str, Any]:
    """Rows by name, ``none`` for no reranker, with their MRR of forty queries."""
    rows = [
        row_of("no reranker" if name == "none" else name, values * 20, model=None if name == "none" else name)
        for name, values in mrr.items()
    ]
    return results_of(rows, facts_of(40), MEASURES, resamples=1000, seed=0)


def test_a_model_that_is_better_is_said_to_be_with_its_figures() -> None:
    assert verdict_of(results(none=[0.5, 0.5], tuned=[1.0, 0.5])) == (
        "tuned ranks better than no reranker: MRR@10 0.750 against 0.500, p < 0.001."
    )


def test_a_model_that_is_worse_is_not_called_best_of_anything_good() -> None:
    assert verdict_of(results(none=[1.0, 0.5], a=[0.5, 0.2], b=[0.5, 0.5])) == (
        "b, the best of 2 models, ranks worse than no reranker: MRR@10 0.500 against 0.750, p < 0.001. It is better "
        "than a too (+0.150, p < 0.001)."
    )


def test_a_difference_that_may_be_chance_is_called_so_however_large_the_mean() -> None:
    noisy = results(none=[1.0, 0.4], lucky=[0.45, 1.0])
    assert verdict_of(noisy).startswith("lucky cannot be told from no reranker: MRR@10 0.725 against 0.700, p = 0.")
    assert verdict_of(noisy).endswith("which may be chance.")
    assert "▲" not in str(mean_cells(noisy, "retrieved"))


def test_the_best_is_compared_with_the_first_model_too() -> None:
    found = verdict_of(results(none=[0.2, 0.2], base=[0.5, 1.0], tuned=[1.0, 0.55]))
    assert found.startswith("tuned, the best of 2 models, ranks better than no reranker: MRR@10 0.775 against 0.200")
    assert "It cannot be told from base (+0.025, p = 0." in found


def test_a_row_without_all_scores_is_never_the_best() -> None:
    rows = [
        row_of("no reranker", [0.5] * 40, model=None),
        row_of("a", [0.9] * 40, incomplete=1),
        row_of("b", [0.6] * 40),
    ]
    found = verdict_of(results_of(rows, facts_of(40), MEASURES, resamples=1000, seed=0))
    assert found == "b ranks better than no reranker: MRR@10 0.600 against 0.500, p < 0.001."
    found = verdict_of(results_of(rows[:2], facts_of(40), MEASURES, resamples=1000, seed=0))
    assert found == "No verdict: a gave no scores for some queries."


def test_without_models_or_without_an_order_the_verdict_says_what_is_not_known() -> None:
    assert verdict_of(results(none=[0.5, 1.0])) == (
        "MRR@10 of the first stage alone is 0.750; no reranker was compared with it."
    )
    assert verdict_of(results(a=[0.5, 1.0])) == (
        "a has an MRR@10 of 0.750; what there is without a reranker is not known."
    )


def test_what_is_significant_has_a_mark_that_needs_no_colour() -> None:
    found = results(none=[0.5, 0.5], tuned=[1.0, 0.5], worse=[0.2, 0.5])
    [head, none, tuned, worse] = [[row[0], row[head_at]] for head_at in [2] for row in mean_cells(found, "retrieved")]
    assert head == ["", "MRR@10"]
    assert (none[1][:5], tuned[1][:7], worse[1][:7]) == ("0.500", "▲ 0.750", "▼ 0.350")
    [(title, cells), _] = difference_tables(found, "retrieved")
    assert title == "Compared with no reranker"
    assert cells[1][2].startswith("▲ +0.250 (")
    assert cells[2][2].startswith("▼ −0.150 (")
    assert "-0.150" not in cells[2][2], "a minus, not a hyphen"
    assert cells[2][-1] == "0 better, 20 worse"


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({"groups": "s3://bucket/data/korquad/test.parquet"}, "Rerankers on korquad/test.parquet"),
        ({"eval_csv": "questions.csv"}, "Rerankers on questions.csv"),
        ({"queries": "beir/nq/", "corpus": "beir/nq/", "qrels": "beir/nq/"}, "Rerankers on beir/nq"),
    ],
)
def test_the_title_names_the_data(given: dict[str, Any], title: str) -> None:
    assert about(EvaluateSettings(output="report", **given), 0)["title"] == title


def test_the_report_says_on_what_data_when_and_how() -> None:
    given: dict[str, Any] = {"queries": "nq/queries.tsv", "corpus": "nq", "qrels": "nq/test.tsv"}
    head = about(EvaluateSettings(output="report", relevant_from=2.0, **given), 1_796_083_200)
    assert head["data"] == "nq/queries.tsv, nq, nq/test.tsv"
    assert head["date"] == "2026-12-01 00:00 UTC"
    assert head["settings"]["relevant"] == "labelled 2 or more"
    found = results(none=[0.5, 0.5], tuned=[1.0, 0.5])
    found |= {
        "about": head,
        "contexts": 3,
        "first_stage": "BM25",
        "set_aside": {},
        "has_order": True,
        "injected": 0,
    }
    found |= {"query_documents": 1}
    found |= {"without_candidates": 1, "without_relevant": 0, "relevant_from": 2.0}
    for row in found["rows"]:
        row |= {"pairs": 1, "pairs_per_second": 1.0, "truncated_documents": 0}
    markdown = as_markdown(found)
    assert markdown.splitlines()[0] == "# Rerankers on nq/queries.tsv"
    assert markdown.splitlines()[2] == f"**{verdict_of(found)}**"
    assert "- measured: 2026-12-01 00:00 UTC" in markdown
    assert "- 1 judged query has no document of the first stage" in markdown, "not: 1 judged queries have"
    assert as_text(found).endswith(verdict_of(found)), "what is read last on a terminal"
