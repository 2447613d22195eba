"""From the candidates and the output of a rerank job to the measures of a row, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crossrank.errors import JobFailed
from crossrank.evaluation.candidates import WrittenCandidates
from crossrank.evaluation.examples import examples_of
from crossrank.evaluation.facts import FACTS
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.rows import first_stage_row, folder_of, model_row
from crossrank.formats import groups_parquet
from crossrank.records import Candidate, Group, Reason
from crossrank.reranking.layout import part_schema
from crossrank.resumable.layout import Layout, write_table
from tests.unit.stand_ins import OverlapSpec

MEASURES = ["success@1", "mrr@10", "map"]
LABELS: dict[str, list[float | None]] = {
    "q0": [None, 1.0, 0.0],
    "q1": [1.0, None, None],
    "q2": [None, None, 1.0],
    "q3": [],
}
"""By query, the labels of the documents d0, d1, ...; the last document of q2 was injected, and q3 has none at all."""
RETRIEVED = {"q0": 3, "q1": 3, "q2": 2, "q3": 0}
ELSEWHERE = {"q3": {"lost": 1.0}}


@pytest.fixture
def written(tmp_path: Path) -> WrittenCandidates:
    groups = []
    for query_id, labels in LABELS.items():
        docs = tuple(
            Candidate(f"d{n}", f"text {n}", label=label, rank=n + 1, score=9.0 - n) for n, label in enumerate(labels)
        )
        facts = {"retrieved": RETRIEVED[query_id], "elsewhere": ELSEWHERE.get(query_id, {})}
        facts |= {"query_characters": 2, "document_characters": 5, "source": None}
        groups.append(Group(query_id, f"about {query_id}", docs, meta={FACTS: facts}))
    uri = str(tmp_path / "groups.parquet")
    groups_parquet.write_groups(uri, groups)
    return WrittenCandidates(uri, None, len(groups), True, "by hand", {})


def scored(output: Path, scores: dict[str, list[float] | None], per_part: int = 2) -> None:
    """Write what a rerank job called m would: by query the scores of d0, d1, ...; None where a server gave none."""
    layout = Layout(folder_of(str(output), "m"))
    rows: list[dict[str, Any]] = []
    for row, (query_id, values) in enumerate(scores.items()):
        order = sorted(range(len(values or [])), key=lambda n: (-values[n], n)) if values else []
        docs = [
            {"doc_id": f"d{n}", "rank": rank, "score": values[n], "initial_rank": n + 1, "truncated_tokens": 0}
            for rank, n in enumerate(order, start=1)
            if values
        ]
        reason = Reason.SCORE_NOT_FINITE if values is None else Reason.NO_CANDIDATES if not values else None
        status = "ok" if reason is None else "rejected"
        rows.append(
            {
                "row": row,
                "query_id": query_id,
                "query": "",
                "status": status,
                "reason": reason,
                "docs": docs,
                "stats": None,
            }
        )
    for start in range(0, len(rows), per_part):
        part = pa.Table.from_pylist(rows[start : start + per_part], schema=part_schema(with_text=False))
        write_table(layout.part(start // per_part), part)


GOOD: dict[str, list[float] | None] = {
    "q0": [1.0, 2.0, 3.0],
    "q1": [5.0, 5.0, 1.0],
    "q2": [0.0, 0.0, 7.0],
    "q3": [],
}


def row_of(written: WrittenCandidates, output: Path) -> Any:
    return model_row("m", "model", OverlapSpec(), Lists.read(written), str(output), {}, MEASURES)


def test_the_first_stage_is_measured_in_its_own_order_and_a_query_without_candidates_counts_0(
    written: WrittenCandidates,
) -> None:
    row = first_stage_row("none", Lists.read(written), MEASURES)
    assert row.values["retrieved"]["mrr@10"].tolist() == [1 / 2, 1, 0, 0]
    assert row.values["injected"]["mrr@10"].tolist() == [1 / 2, 1, 1 / 3, 0]
    assert row.ranks_Q.tolist() == [2, 1, 0, 0]
    assert row.tops_Q.tolist() == [0, 0, 0, -1]


def test_a_model_is_measured_by_its_scores_and_equal_ones_keep_the_order_of_the_first_stage(
    written: WrittenCandidates, tmp_path: Path
) -> None:
    scored(tmp_path, GOOD)
    row = row_of(written, tmp_path)
    # q0: d2, d1, d0, of which d1 is relevant. q1: d0 and d1 are tied, and d0 was first. q2: d2 was injected.
    assert row.values["retrieved"]["mrr@10"].tolist() == [1 / 2, 1, 0, 0]
    assert row.values["injected"]["mrr@10"].tolist() == [1 / 2, 1, 1, 0]
    assert row.values["injected"]["success@1"].tolist() == [0, 1, 1, 0]
    assert row.tops_Q.tolist() == [2, 0, 0, -1]
    assert row.tie_rate == 4 / 9
    assert row.incomplete == 0, "a query that has no candidates lacks no scores"
    assert row.scores.scores_P.tolist() == [3, 2, 1, 5, 5, 1, 7, 0, 0]
    assert row.scores.labels_P[[0, 1, 3, 6]].tolist() == [0, 1, 1, 1]
    assert np.isnan(row.scores.labels_P[2])


def test_a_query_that_a_server_left_without_scores_counts_0_and_is_counted(
    written: WrittenCandidates, tmp_path: Path
) -> None:
    scored(tmp_path, GOOD | {"q1": None})
    row = row_of(written, tmp_path)
    assert row.incomplete == 1
    assert row.values["retrieved"]["mrr@10"].tolist() == [1 / 2, 0, 0, 0]
    assert (row.ranks_Q.tolist(), row.tops_Q.tolist()) == ([2, 0, 0, 0], [2, -1, 0, -1])
    assert len(row.scores.scores_P) == 6


def test_results_of_other_queries_are_refused(written: WrittenCandidates, tmp_path: Path) -> None:
    scored(tmp_path, {"q0": [1.0, 2.0, 3.0], "q9": []})
    with pytest.raises(JobFailed, match="holds other queries than the candidates; run again with --overwrite"):
        Rankings.read(Lists.read(written), folder_of(str(tmp_path), "m"))


def test_a_win_and_a_loss_are_shown_with_their_texts(written: WrittenCandidates, tmp_path: Path) -> None:
    scored(tmp_path, GOOD | {"q0": [1.0, 3.0, 2.0], "q1": [1.0, 5.0, 2.0]})
    lists = Lists.read(written)
    examples = examples_of(row_of(written, tmp_path), first_stage_row("none", lists, MEASURES), lists, None)
    [win], [loss] = examples["wins"], examples["losses"]
    assert (win.query, win.before, win.after, win.relevant, win.first) == ("about q0", 2, 1, "text 1", None)
    assert (loss.query, loss.before, loss.after, loss.relevant, loss.first) == ("about q1", 1, 3, "text 0", "text 1")


def test_ties_are_counted_within_a_query_and_not_across_two() -> None:
    scores = np.array([3, 3, 3, 3, 2], dtype=np.float32)
    places = np.array([0, 1, 0, 1, 2])
    rankings = Rankings(places, scores, np.array([0, 2, 5]), np.zeros(2, dtype=bool))
    assert rankings.tie_rate() == 4 / 5
    # 3 ends the first query and begins the second.
    rankings = Rankings(
        np.array([0, 1, 0, 1]), np.array([4, 3, 3, 2], dtype=np.float32), np.array([0, 2, 4]), np.zeros(2, dtype=bool)
    )
    assert rankings.tie_rate() == 0


def test_a_few_groups_are_read_from_any_place(written: WrittenCandidates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_parquet, "ROW_GROUP_GROUPS", 2)
    both = groups_parquet.read_groups(written.groups, lambda row: None)
    groups_parquet.write_groups(f"{written.groups}.small", [group for _, group in both])
    lists = Lists.read(WrittenCandidates(f"{written.groups}.small", None, 4, True, "by hand", {}))
    assert {place: group.query_id for place, group in lists.groups_at([3, 0, 3]).items()} == {0: "q0", 3: "q3"}
    assert lists.groups_at([]) == {}
