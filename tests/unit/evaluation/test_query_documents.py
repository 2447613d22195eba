"""Collections whose queries are documents, as ArguAna and Quora: the query itself is no candidate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.resumable.output import read_json, write_json

TEXTS = {
    "a1": "schools should ban homework because it tires children",
    "a2": "homework trains children for later, so schools should keep it",
    "a3": "schools should teach more music",
    "copy": "Schools should ban  homework because it tires children",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Arguments, of which the first is asked: its counterargument a2 answers, and a copy of it lies beside."""
    lines = [json.dumps({"_id": doc_id, "text": text}) + "\n" for doc_id, text in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    (tmp_path / "queries.jsonl").write_text(json.dumps({"_id": "a1", "text": TEXTS["a1"]}) + "\n")
    (tmp_path / "qrels.txt").write_text("a1 0 a2 1\na1 0 copy 0\n")
    return tmp_path


def measured(folder: Path, **more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {name: str(folder / f"{name}.jsonl") for name in ("queries", "corpus")}
    given |= {"qrels": str(folder / "qrels.txt"), "language": "en", "output": str(folder / "out")}
    return evaluate(EvaluateSettings(**(given | more)))


def mrr(results: dict[str, Any], table: str = "retrieved") -> float:
    found: float = results["tables"][table]["means"]["no reranker"]["mrr@10"]["mean"]
    return found


def run_of(folder: Path) -> list[str]:
    [run] = (folder / "out" / "runs").glob("no-reranker*.trec")
    return [line.split()[2] for line in run.read_text().splitlines()]


def test_the_query_itself_is_left_out_by_id_and_by_text_and_counted(folder: Path) -> None:
    results = measured(folder)
    assert run_of(folder)[0] == "a2"
    assert not {"a1", "copy"} & set(run_of(folder))
    assert mrr(results) == 1
    assert mrr(results, "injected") == 1, "a copy that is judged 0 is not put back among the injected"
    assert results["query_documents"] == 2
    report = (folder / "out" / "report.md").read_text()
    assert "2 candidates were the query itself, by id or text, and left out, as in BEIR" in report
    assert read_json(str(folder / "out" / "_manifest.json"))["candidates"]["query_documents"] == 2


def test_a_switch_keeps_it_as_before(folder: Path) -> None:
    results = measured(folder, keep_query_document=True)
    assert run_of(folder)[:2] == ["a1", "copy"], "both before what answers"
    assert mrr(results) == pytest.approx(1 / 3)
    assert results["query_documents"] == 0


def test_a_document_that_is_judged_relevant_stays_whatever_its_id_or_text(folder: Path) -> None:
    # Queries and documents numbered alike, and a duplicate question that is the right answer, as in Quora.
    (folder / "qrels.txt").write_text("a1 0 a1 1\na1 0 copy 1\n")
    results = measured(folder)
    assert set(run_of(folder)) >= {"a1", "copy"}
    assert mrr(results) == 1
    assert results["query_documents"] == 0


def test_the_depth_is_filled_in_spite_of_what_is_left_out(folder: Path) -> None:
    (folder / "run.trec").write_text("a1 Q0 a1 1 9 r\na1 Q0 a3 2 8 r\na1 Q0 a2 3 7 r\n")
    results = measured(folder, candidates=str(folder / "run.trec"), depth=2, contexts=1)
    assert run_of(folder) == ["a3", "a2"]
    assert mrr(results) == 0.5


def test_a_copy_under_a_title_is_the_query_itself_too(folder: Path) -> None:
    # As in ArguAna, whose documents have titles and whose queries are the texts below them.
    title = "education school debate"
    lines = [json.dumps({"_id": doc_id, "title": title, "text": text}) + "\n" for doc_id, text in TEXTS.items()]
    (folder / "corpus.jsonl").write_text("".join(lines))
    (folder / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": TEXTS["a1"]}) + "\n")
    (folder / "qrels.txt").write_text("q 0 a2 1\n")
    results = measured(folder)
    assert run_of(folder)[0] == "a2"
    assert mrr(results) == 1, "and not 1/3, behind a1 and its copy"
    assert results["query_documents"] == 2

    ids = [{"doc_id": doc_id, "rank": rank, "label": float(doc_id == "a2")} for rank, doc_id in enumerate(TEXTS)]
    (folder / "g.jsonl").write_text(json.dumps({"query_id": "q", "query": TEXTS["a1"], "docs": ids}) + "\n")
    groups = {"groups": str(folder / "g.jsonl"), "queries": None, "qrels": None, "output": str(folder / "of groups")}
    assert measured(folder, **groups)["query_documents"] == 2, "of groups whose texts are in the corpus as well"


def test_groups_lose_it_too(folder: Path) -> None:
    docs = [
        {"doc_id": doc_id, "text": text, "label": float(doc_id == "a2"), "rank": rank}
        for rank, (doc_id, text) in enumerate([("a1", TEXTS["a1"]), ("copy", TEXTS["copy"]), ("a2", TEXTS["a2"])], 1)
    ]
    line = json.dumps({"query_id": "a1", "query": TEXTS["a1"], "docs": docs}) + "\n"
    (folder / "g.jsonl").write_text(line)
    groups = {"groups": str(folder / "g.jsonl"), "queries": None, "corpus": None, "qrels": None}
    assert mrr(measured(folder, **groups)) == 1
    groups["output"] = str(folder / "kept")
    assert mrr(measured(folder, keep_query_document=True, **groups)) == pytest.approx(1 / 3)


def test_an_output_that_was_begun_before_there_was_a_choice_is_gone_on_with(folder: Path) -> None:
    measured(folder, keep_query_document=True)
    before = run_of(folder)
    manifest = str(folder / "out" / "_manifest.json")
    old = read_json(manifest)
    del old["identity"]["settings"]["keep_query_document"]
    del old["candidates"]["query_documents"]
    write_json(manifest, old)
    note = str(folder / "out" / "_candidates" / "written.json")
    written = read_json(note)
    del written["query_documents"]
    write_json(note, written)
    results = measured(folder)
    assert run_of(folder) == before, "its candidates are those that it has"
    assert results["query_documents"] == 0
