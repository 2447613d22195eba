"""What a model is worth that cannot tell documents apart: what a guess is worth, however the input lists them.

How it could fail users: training data has its positives first, so a broken model has an MRR of 1.0 where ties keep the
order of the input, and every checkpoint that collapsed is the best.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR

from crossrank.evaluation.candidates import write_candidates
from crossrank.evaluation.lists import Lists, Rankings
from crossrank.evaluation.rows import Row, first_stage_row, folder_of, model_row
from crossrank.evaluation.runs import run_of, write_runs
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats.trec import read_run
from crossrank.records import Reason, Reject, Rejected
from crossrank.reranking.block import Keep, rerank_block
from crossrank.reranking.prepare import GroupWork, blocks
from crossrank.resumable.layout import Layout, write_table
from tests.unit.evaluation.test_wiring import Says, refuse
from tests.unit.stand_ins import OverlapSpec

GUESS = 0.340
"""MRR@10 of one in eight: (1 + 1/2 + ... + 1/8) / 8."""
MEASURES = ["mrr@10", "map"]


class Evaluated:
    """Groups evaluated with a model for which a document's text is its score, as `evaluate` does without workers."""

    def __init__(
        self, folder: Path, groups: dict[str, list[dict[str, Any]]], depth: int = 100, reject: Reject = refuse
    ) -> None:
        lines = [{"query_id": query_id, "query": "q", "docs": docs} for query_id, docs in groups.items()]
        (folder / "g.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        settings = EvaluateSettings(
            models=("m=model",), groups=str(folder / "g.jsonl"), output=str(folder / "out"), depth=depth, contexts=1
        )
        self.output = str(folder)
        self.written = write_candidates(settings, str(folder / "groups.parquet"), reject)
        layout = Layout(folder_of(self.output, "m"))
        work = GroupWork(self.written.groups, None, 1000, None)
        for number, block in enumerate(blocks(work.rows(refuse), 500)):
            write_table(layout.part(number), rerank_block(block, Says(), None, Keep(0, "none", with_text=False)))
        self.lists = Lists.read(self.written)
        self._labels = {query_id: {doc["doc_id"]: doc["label"] for doc in docs} for query_id, docs in groups.items()}

    def row(self) -> Row:
        return model_row("m", "model", OverlapSpec(), self.lists, self.output, {}, MEASURES)

    def first_stage(self) -> Row:
        return first_stage_row("none", self.lists, MEASURES)

    def runs(self) -> dict[str, str]:
        """The runs of the model and of the first stage."""
        write_runs(self.lists, Rankings.read(self.lists, folder_of(self.output, "m")), self.output, "m")
        write_runs(self.lists, self.lists.in_order(), self.output, "no reranker")
        return {name: run_of(self.output, name) for name in ("m", "no reranker")}

    def by_trec_eval(self, run: str, measure: Any) -> dict[str, float]:
        """What `ir_measures`, which knows nothing of us, makes of a run that we wrote, by query."""
        lines = ir_measures.read_trec_run(Path(run).read_text())  # type: ignore[no-untyped-call]
        labels = {query_id: of_docs for query_id, of_docs in self._labels.items() if of_docs}
        found = ir_measures.iter_calc([measure], labels, list(lines))
        return {each.query_id: each.value for each in found}


def one_in_eight(number: int, score: str = "0", **of_positive: Any) -> list[dict[str, Any]]:
    """The positive first, as in training data. Equal texts are the hardest: nothing but ids tells them apart."""
    positive = {"doc_id": f"p{number}", "text": score, "label": 1, **of_positive}
    return [positive, *({"doc_id": f"n{number}-{n}", "text": score, "label": 0} for n in range(7))]


def test_a_model_that_gives_every_document_one_score_is_worth_a_guess_though_positives_stand_first(
    tmp_path: Path,
) -> None:
    found = Evaluated(tmp_path, {f"q{number}": one_in_eight(number) for number in range(2000)})
    row = found.row()
    mean = row.values["retrieved"]["mrr@10"].mean()
    assert mean == pytest.approx(GUESS, abs=0.02)
    assert mean < 0.9, "the order of the list would be 1.0"
    assert row.tie_rate == 1
    assert not found.written.has_order, "so there is no row without a reranker"


def test_where_some_documents_have_ranks_those_decide_and_the_others_follow_as_they_are_listed(tmp_path: Path) -> None:
    """Groups that were mined for have ranks for their negatives alone: what cannot tell them apart finds the positive
    last, 1/8, and nothing is said of a first stage. A positive that is listed first of those without a rank stands
    before them, but behind every rank."""
    groups = {f"mined{number}": one_in_eight(number) for number in range(20)}
    for docs in groups.values():
        for rank, doc in enumerate(docs[1:], start=1):
            doc["rank"] = rank
    groups |= {f"first{number}": one_in_eight(number) for number in range(20)}
    for number in range(20):
        groups[f"first{number}"][7]["rank"] = 1
    found = Evaluated(tmp_path, groups)
    for table in ("retrieved", "injected"):
        assert found.row().values[table]["mrr@10"].tolist() == pytest.approx([1 / 8] * 20 + [1 / 2] * 20)
    assert not found.written.has_order
    run = found.runs()["m"]
    assert found.by_trec_eval(run, RR @ 10) == pytest.approx(
        dict(zip(groups, [1 / 8] * 20 + [1 / 2] * 20, strict=True))
    )


def test_a_rank_that_all_documents_share_says_no_order_and_is_worth_a_guess(tmp_path: Path) -> None:
    groups = {f"q{number}": one_in_eight(number) for number in range(2000)}
    for docs in groups.values():
        for doc in docs:
            doc["rank"] = 0
    found = Evaluated(tmp_path, groups)
    assert found.row().values["retrieved"]["mrr@10"].mean() == pytest.approx(GUESS, abs=0.02), "1.0 by the list"
    assert not found.written.has_order


@pytest.mark.parametrize("copy", [{"label": 0}, {"label": None}, {"label": 0, "text": "0"}], ids=str)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_document_that_is_labelled_twice_is_a_positive_wherever_its_copy_stands(
    tmp_path: Path, copy: dict[str, Any], is_first: bool
) -> None:
    p, n = {"doc_id": "p", "text": "9", "label": 1}, {"doc_id": "n", "text": "5", "label": 0}
    docs = [{**p, **copy}, n, p] if is_first else [p, n, {**p, **copy}]
    aside: list[Rejected] = []
    found = Evaluated(tmp_path, {"q1": docs}, reject=aside.append)
    assert found.row().values["retrieved"]["mrr@10"].tolist() == [1], "p of label 0 would leave no positive"
    assert len(found.lists.doc_ids_P) == 2
    assert [row.reason for row in aside] == [Reason.DUPLICATE_ID]


def test_a_depth_cuts_a_list_without_ranks_where_no_label_decides(tmp_path: Path) -> None:
    """Of two in eight the positive is one in a quarter of the groups, and then first in half of them."""
    found = Evaluated(tmp_path, {f"q{number}": one_in_eight(number) for number in range(2000)}, depth=2)
    assert found.row().values["retrieved"]["mrr@10"].mean() == pytest.approx(1 / 8 + 1 / 8 / 2, abs=0.02)
    assert found.row().values["injected"]["mrr@10"].mean() == pytest.approx(GUESS, abs=0.02)


def test_with_ranks_ties_keep_the_order_of_the_first_stage_wherever_documents_stand_in_the_list(tmp_path: Path) -> None:
    docs = [
        {"doc_id": "a", "text": "0", "label": 1, "rank": 3},
        {"doc_id": "b", "text": "0", "label": 0, "rank": 1},
        {"doc_id": "c", "text": "0", "label": 0, "rank": 2},
    ]
    from_0 = [doc | {"rank": doc["rank"] - 1} for doc in docs]  # type: ignore[operator]
    found = Evaluated(tmp_path, {"q1": docs, "q2": from_0})
    assert found.written.has_order
    for row in (found.row(), found.first_stage()):
        assert row.values["retrieved"]["mrr@10"].tolist() == pytest.approx([1 / 3, 1 / 3]), "1.0 by the list"


def test_the_depth_drops_the_last_ranks_and_not_the_last_of_the_list(tmp_path: Path) -> None:
    docs = [{"doc_id": f"d{rank}", "text": "0", "label": int(rank == 1), "rank": rank} for rank in (3, 2, 1)]
    found = Evaluated(tmp_path, {"q1": docs}, depth=2)
    assert found.first_stage().values["retrieved"]["mrr@10"].tolist() == [1], "rank 1 was dropped"


@pytest.mark.parametrize("depth", [100, 5])
@pytest.mark.parametrize("has_scores", [True, False])
def test_every_run_measures_by_trec_eval_as_the_report_says(tmp_path: Path, depth: int, has_scores: bool) -> None:
    """Ties in the scores of the first stage and in those of the model; ids that sort with and against both orders; a
    depth, so that the judged documents behind it are in no run of what was retrieved."""
    draw = np.random.default_rng(3)
    groups = {}
    for number in range(100):
        docs = one_in_eight(number)
        order = draw.permutation(8).tolist()
        for doc, rank in zip(docs, order, strict=True):
            doc |= {
                "rank": rank,
                "text": str(draw.choice([-1e30, -0.0, 0.0, 7.5])),
                "doc_id": f"d{draw.integers(10**9)}",
            }
            doc |= {"score": float(8 - rank) // 4} if has_scores else {}
        groups[f"q{number}"] = docs
    found = Evaluated(tmp_path, groups, depth)
    for name, row in (("m", found.row()), ("no reranker", found.first_stage())):
        run = found.runs()[name]
        for measure, ours in ((RR @ 10, "mrr@10"), (AP, "map")):
            theirs = found.by_trec_eval(run, measure)
            values = dict(zip(found.lists.query_ids, row.values["retrieved"][ours], strict=True))
            assert {query_id: theirs.get(query_id, 0.0) for query_id in values} == pytest.approx(values)
        injected = Path(run).parent / "injected" / Path(run).name
        assert injected.exists() == (depth == 5)
        if depth == 5:
            theirs = found.by_trec_eval(str(injected), RR @ 10)
            assert theirs == pytest.approx(dict(zip(groups, row.values["injected"]["mrr@10"], strict=True)))


def test_ids_with_white_space_are_evaluated_and_stand_in_the_runs_as_one_word(tmp_path: Path) -> None:
    ids = ["two words", "tab\there", "no\xa0break", "한글\u3000공백", "next\x85line", "%%"]
    docs = [
        {"doc_id": doc_id, "text": str(-place), "label": int(place == 2), "rank": 9 - place}
        for place, doc_id in enumerate(ids)
    ]
    found = Evaluated(tmp_path, {"query one": docs})
    assert found.row().values["retrieved"]["mrr@10"].tolist() == pytest.approx([1 / 3])
    runs = found.runs()
    assert {len(line.split()) for run in runs.values() for line in Path(run).read_text().split("\n") if line} == {6}
    read = defaultdict(list)
    for name, run in runs.items():
        for line in read_run(run, refuse):
            assert line.query_id == "query one"
            read[name].append(line.doc_id)
    assert read == {"m": ids, "no reranker": ids[::-1]}
