"""The report as Markdown and as a page: what a reader sees, and what a hostile text cannot do."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from crossrank.evaluation.about import about
from crossrank.evaluation.cells import notes_of, told_of
from crossrank.evaluation.examples import Example
from crossrank.evaluation.page import page_of
from crossrank.evaluation.pictures import Axis
from crossrank.evaluation.report import as_markdown, as_text
from crossrank.evaluation.rows import ScoredPairs
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.evaluation.table import results_of
from crossrank.evaluation.wording import label_of, mean_text, number_text, p_text, signed, with_article
from tests.unit.evaluation.test_table import MEASURES, facts_of, row_of

SAME = (
    "about",
    "query_documents",
    "contexts",
    "first_stage",
    "set_aside",
    "has_order",
    "without_candidates",
    "relevant_from",
    "without_relevant",
    "crossrank",
)
"""What results have beside figures, and the tests take over."""
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Two models and the first stage over forty queries, one of them incomplete."""
    scores = ScoredPairs(np.linspace(-4, 4, 80, dtype=np.float32), np.array([0, 1] * 40, dtype=np.float32))
    rows = [
        row_of("no reranker", [0.5, 1.0] * 20, model=None),
        row_of(f"base {HOSTILE}", [1.0, 1.0] * 20, scores=scores),
        row_of("server", [1.0, 0.0] * 20, incomplete=3),
    ]
    found = results_of(rows, facts_of(40), MEASURES, resamples=200, seed=0)
    found |= {"contexts": 3, "first_stage": "BM25, ko (as given)", "set_aside": {"no_positive": 2}, "has_order": True}
    found |= {"about": about(EvaluateSettings(groups="beir/nq/test.jsonl", output="report"), 0)}
    found |= {"query_documents": 0}
    found |= {"relevant_from": None, "without_relevant": 0}
    found |= {"without_candidates": 4, "injected": 5, "crossrank": {"version": "0.1.0", "commit": None}}
    for row, speed in zip(found["rows"], (None, 48.2, 1234.0), strict=True):
        row |= {"pairs": 400, "pairs_per_second": speed, "truncated_documents": 0}
    found["rows"][1] |= {"p50_ms": 61.5, "p99_ms": 80.0}
    return found


class Checker(HTMLParser):
    """Every tag is closed in its order, none loads anything."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not {"src", "href", "onload", "onclick"} & {name for name, _ in attrs}, (tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_runs_nothing_and_loads_nothing(results: dict[str, Any]) -> None:
    example = Example(HOSTILE, 4, 1, f"relevant {HOSTILE}", None)
    page = page_of(results, {"server": {"wins": [example], "losses": []}})
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    assert "script" not in checker.seen
    assert {"svg", "table", "figure", "polyline"} <= set(checker.seen)
    assert page.count("&lt;script&gt;") >= 3
    assert "prefers-color-scheme: dark" in page
    assert "4 → 1" in page
    assert not re.search(r"https?://|url\(", page)


def test_the_page_of_one_row_without_scores_is_one_too(results: dict[str, Any]) -> None:
    bare = results_of([row_of("no reranker", [0.5], model=None)], facts_of(1), MEASURES, resamples=200, seed=0)
    bare |= {name: results[name] for name in SAME}
    bare["injected"] = 0
    page = page_of(bare, {})
    assert "There is one query alone, so no interval can be given." in page
    assert "injected" not in page
    assert "cost" not in page, "no model, no cost"
    assert "## Cost" not in as_markdown(bare)


def test_the_text_says_what_is_needed_to_read_it(results: dict[str, Any]) -> None:
    notes = "\n".join([*told_of(results), *notes_of(results)])
    assert "40 judged queries; first stage: BM25, ko (as given)." in as_text(results)
    assert "a relevant document is among the first 3 (Success@3)" in notes
    assert "Incomplete: server gave no scores for 3 queries, which count 0, and it is compared with nothing." in notes
    assert "4 judged queries have no document of the first stage: 0 in every measure as retrieved." in notes
    assert "Rows that were set aside: 2 no_positive; see _rejected/." in notes
    assert "server (incomplete)" in as_text(results)


def test_a_share_of_ties_that_hides_an_order_is_said_before_the_tables(results: dict[str, Any]) -> None:
    rows = [{**row, "tie_rate": rate} for row, rate in zip(results["rows"], (0.0, 0.009, 0.372), strict=True)]
    rows[2]["scale"] = "probability"
    told = told_of(results | {"rows": rows})
    [about_ties] = [each for each in told if "the score of another" in each]
    assert about_ties.startswith("server gave 37.2% of its documents the score of another of the same query")
    assert any(
        "those that round to the same are tied, which are 37.2% of its" in n for n in notes_of(results | {"rows": rows})
    )


def test_an_encoder_without_a_head_is_marked_wherever_it_is_named(results: dict[str, Any]) -> None:
    scores = ScoredPairs(np.linspace(-1, 1, 80, dtype=np.float32), np.array([0, 1] * 40, dtype=np.float32))
    rows = [
        row_of("no reranker", [0.5, 1.0] * 20, model=None),
        row_of("untouched", [1.0, 0.5] * 20, scores=scores, scale="cosine"),
        row_of("hosted", [1.0, 0.5] * 20, scale="probability"),
    ]
    found = results_of(rows, facts_of(40), MEASURES, resamples=200, seed=0)
    found |= {name: results[name] for name in SAME}
    found |= {"injected": 0}
    for row in found["rows"]:
        row |= {"pairs": 400, "pairs_per_second": 10.0, "truncated_documents": 0}
    markdown = as_markdown(found)
    assert "### Compared with no reranker" in markdown
    assert markdown.count("| untouched (cosine) |") == 4  # in means, differences, cost and the head of the slices
    assert "Cosine: untouched is an encoder without a classification head" in markdown
    assert "hosted gives probabilities and no logits" in markdown
    page = page_of(found, {"untouched": {"wins": [], "losses": []}})
    assert "Wins and losses of untouched (cosine)" in page
    assert "read as a probability" not in page, "a cosine foretells no probability"


def test_a_pipe_or_a_line_break_in_a_name_spoils_no_table(results: dict[str, Any]) -> None:
    renamed = {**results, "rows": [{**row, "name": row["name"]} for row in results["rows"]]}
    for line in as_markdown(renamed).splitlines():
        if line.startswith("| "):
            assert line.endswith(" |")


def test_groups_without_an_order_say_that_nothing_is_known_without_a_reranker(results: dict[str, Any]) -> None:
    assert any("there is no row without a reranker" in fact for fact in told_of(results | {"has_order": False}))


def test_numbers_are_written_as_people_read_them() -> None:
    assert label_of("success@3") == "has right in contexts@3"
    assert label_of("mrr@10") == "MRR@10"
    assert label_of("map") == "MAP"
    assert label_of("precision@5") == "Precision@5"
    assert with_article("mrr@10") == "an MRR@10"
    assert with_article("map") == "a MAP"
    assert mean_text({"mean": 0.12345, "interval": [0.1, 0.15]}) == "0.123 (0.100 to 0.150)"
    assert mean_text({"mean": 0.5, "interval": None}, is_difference=True) == "+0.500"
    assert mean_text({"mean": -0.5, "interval": [-1, 0.0001]}, is_difference=True) == "−0.500 (−1.000 to 0.000)"
    assert [signed(number) for number in (-0.0004, 0.0004, -0.0006)] == ["0.000", "0.000", "−0.001"]
    assert p_text(0.0004) == "p < 0.001"
    assert p_text(0.0321) == "p = 0.032"
    assert [number_text(number) for number in (None, 48.25, 1234.5, 7.0)] == ["–", "48.2", "1,234", "7"]


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (0.71, 0.78, ["0.72", "0.74", "0.76", "0.78"]),
        (-3.2, 8.9, ["−2", "0", "2", "4", "6", "8"]),
    ],
)
def test_an_axis_has_round_numbers(low: float, high: float, labels: list[str]) -> None:
    assert [label for _, label in Axis(low, high, 0, 100).ticks()] == labels


def test_an_axis_of_one_value_puts_it_in_the_middle() -> None:
    assert Axis(0.5, 0.5, 0, 100)(0.5) == 50
