"""The queries that are evaluated on, whatever form they come in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crossrank.evaluation.settings import EvaluateSettings
from crossrank.recipe.measured import MeasuredQueries, measured_queries
from tests.unit.recipe.conftest import Write


def queries(**given: Any) -> list[str]:
    return list(measured_queries(EvaluateSettings(models=("a=A",), output="e", **given)))


def test_of_a_beir_folder_they_are_the_judged_ones_of_the_split_that_is_measured_on(write: Write) -> None:
    for row in ("train", "test", "none"):
        write("b/queries.jsonl", (Path("b/queries.jsonl").read_text() if Path("b/queries.jsonl").exists() else ""))
        with open("b/queries.jsonl", "a") as file:
            file.write(json.dumps({"_id": row, "text": f"asked of {row}"}) + "\n")
    write("b/corpus.jsonl", '{"_id": "d", "text": "x"}\n')
    for split in ("train", "test"):
        write(f"b/qrels/{split}.tsv", f"query-id\tcorpus-id\tscore\n{split}\td\t1\n")
    assert queries(queries="b", corpus="b", qrels="b") == ["asked of test"]


def test_they_may_be_in_files_with_columns_of_other_names(write: Write) -> None:
    write("q.tsv", "key\tasked\nq1\tone\nq2\ttwo\n")
    write("judged.qrels", "q2 0 d 1\n")
    given = {"queries": "q.tsv", "corpus": "c.tsv", "qrels": "judged.qrels"}
    assert queries(**given, query_id_column="key", query_column="asked") == ["two"]


def test_they_may_be_those_of_a_question_csv_or_of_groups(write: Write) -> None:
    write("q.csv", "question,answer,doc_id,doc\n질문 하나,a,d1,문서\n질문 둘,b,d2,문서 둘\n")
    assert queries(eval_csv="q.csv") == ["질문 하나", "질문 둘"]
    write("g.jsonl", '{"query_id": "q", "query": "one", "docs": [{"doc_id": "d", "text": "x", "label": 1}]}\n')
    assert queries(groups="g.jsonl") == ["one"]


def test_they_are_written_as_groups_once_each_and_again_only_where_they_changed(write: Write, tmp_path: Path) -> None:
    write("q.csv", "question,answer,doc_id,doc\none,a,d1,x\none,b,d2,y\ntwo,c,d3,z\n")
    target = tmp_path / "measured.jsonl"
    stage = MeasuredQueries(EvaluateSettings(models=("a=A",), output="e", eval_csv="q.csv"), None, str(target))
    assert not stage.is_done()
    stage.run(afresh=False)
    assert [json.loads(line)["query"] for line in target.read_text().splitlines()] == ["one", "two"]
    before = target.stat().st_mtime_ns
    stage.run(afresh=False)
    assert target.stat().st_mtime_ns == before
    write("q.csv", "question,answer,doc_id,doc\nthree,a,d1,x\n")
    stage.run(afresh=False)
    assert [json.loads(line)["query"] for line in target.read_text().splitlines()] == ["three"]


def test_other_queries_may_be_held_out_beside_them(write: Write, tmp_path: Path) -> None:
    write("q.csv", "question,answer,doc_id,doc\none,a,d1,x\n")
    write("g.jsonl", '{"query_id": "q", "query": "two", "docs": []}\n')
    target = tmp_path / "measured.jsonl"
    settings = EvaluateSettings(models=("a=A",), output="e", eval_csv="q.csv")
    MeasuredQueries(settings, "g.jsonl", str(target)).run(afresh=False)
    assert [json.loads(line)["query"] for line in target.read_text().splitlines()] == ["one", "two"]
