"""What every model is asked to rank, from each kind of input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.candidates import WrittenCandidates, write_candidates
from crossrank.evaluation.facts import INJECTED, Facts
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.question_csv import beir_of
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.records import Group, Reason, Rejected
from tests.unit.evaluation.test_wiring import read_candidates

CORPUS = {
    "cats": "the cat sat on the mat",
    "dogs": "the dog lay in the sun",
    "cars": "a red car drove by",
    "birds": "a bird sang a long song in the old tree",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four passages, three queries, and judgements of them."""
    rows = [{"_id": name, "text": text} for name, text in CORPUS.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = {"q1": "cat mat", "q2": "red car", "q3": "sun"}
    lines = [json.dumps({"_id": query_id, "text": text}) + "\n" for query_id, text in queries.items()]
    (tmp_path / "queries.jsonl").write_text("".join(lines))
    (tmp_path / "qrels.txt").write_text("q1 0 cats 1\nq2 0 birds 1\nq2 0 cars 0\nq3 0 dogs 1\n")
    return tmp_path


def written_of(folder: Path, **more: Any) -> tuple[WrittenCandidates, list[Group], list[Facts], list[Rejected]]:
    """The candidates of the folder's queries, as they were written."""
    given: dict[str, Any] = {
        "models": ("m=model",),
        "output": str(folder / "out"),
        "depth": 2,
        "contexts": 1,
        "language": "en",
    }
    if not {"groups", "eval_csv"} & more.keys():
        given |= {"queries": str(folder / "queries.jsonl"), "corpus": str(folder / "corpus.jsonl")}
        given |= {"qrels": str(folder / "qrels.txt")}
    aside: list[Rejected] = []
    written = write_candidates(EvaluateSettings(**(given | more)), str(folder / "groups.parquet"), aside.append)
    both = list(read_candidates(written))
    return written, [group for group, _ in both], [facts for _, facts in both], aside


def refused(row: Rejected) -> None:
    raise AssertionError(row)


def docs_of(group: Group) -> list[tuple[str, float | None, str | None]]:
    return [(doc.doc_id, doc.label, doc.source) for doc in group.docs]


@pytest.mark.parametrize("limit", [None, 2])
def test_judgements_of_another_collection_are_refused_and_are_no_figures_of_zero(
    folder: Path, limit: int | None
) -> None:
    # An accent as one character in the corpus, and as two in the judgements: one id to the eye.
    (folder / "qrels.txt").write_text("q1 0 cafe\u0301 1\nq1 0 cats 0\nq2 0 gone 1\n")
    with (folder / "corpus.jsonl").open("a") as corpus:
        corpus.write(json.dumps({"_id": "caf\u00e9", "text": "coffee"}) + "\n")
    with pytest.raises(
        InputError, match=r"the corpus has none of the 2 documents that .*qrels.txt judges relevant"
    ) as of:
        written_of(folder, limit=limit)
    assert "such as cafe\u0301, so every measure would be 0; check that both are of one collection" in str(of.value)
    # One that is there is enough.
    (folder / "qrels.txt").write_text("q1 0 caf\u00e9 1\nq2 0 gone 1\n")
    assert [group.query_id for group in written_of(folder, limit=limit)[1]] == ["q1", "q2"]


def test_what_the_first_stage_missed_and_somebody_judged_stands_behind_what_it_found(folder: Path) -> None:
    _, groups, facts, aside = written_of(folder)
    assert not aside
    assert docs_of(groups[0]) == [("cats", 1, None)]
    # BM25 finds the red car alone, which is judged as not relevant; the bird was judged as relevant.
    assert docs_of(groups[1]) == [("cars", 0, None), ("birds", 1, INJECTED)]
    assert [doc.rank for doc in groups[1].docs] == [1, 2]
    assert [each.retrieved for each in facts] == [1, 1, 1]
    assert facts[1].document_characters == len(CORPUS["birds"])
    assert facts[1].query_characters == len("red car")


def test_a_run_gives_the_candidates_and_a_query_that_it_lacks_has_none(folder: Path) -> None:
    (folder / "first.trec").write_text("q1 Q0 dogs 1 2.0 x\nq1 Q0 cats 2 1.0 x\nq2 Q0 nowhere 1 1.0 x\n")
    written, groups, facts, aside = written_of(folder, candidates=str(folder / "first.trec"))
    assert written.queries == 3
    assert docs_of(groups[0]) == [("dogs", None, None), ("cats", 1, None)]
    assert docs_of(groups[2]) == [("dogs", 1, INJECTED)]
    assert [each.retrieved for each in facts] == [2, 0, 0]
    assert [(row.reason, row.record_id) for row in aside] == [(Reason.UNKNOWN_DOCUMENT, "q2")]
    assert written.set_aside == {"unknown_document": 1}


def test_a_judged_document_that_the_corpus_lacks_still_counts_as_relevant(folder: Path) -> None:
    (folder / "qrels.txt").write_text("q1 0 cats 1\nq1 0 lost 1\n")
    _, groups, facts, aside = written_of(folder)
    assert docs_of(groups[0]) == [("cats", 1, None)]
    assert facts[0].elsewhere == {"lost": 1}
    assert [row.detail for row in aside] == ["document lost is judged, and the corpus lacks it"]


def test_judged_queries_without_text_and_queries_without_a_relevant_document_are_told(folder: Path) -> None:
    (folder / "qrels.txt").write_text("q1 0 cats 1\nq9 0 cats 1\nq2 0 cars 0\n")
    written, groups, _, aside = written_of(folder)
    assert [group.query_id for group in groups] == ["q1"]
    assert {row.record_id: row.reason for row in aside} == {"q9": Reason.UNKNOWN_QUERY, "q2": Reason.NO_POSITIVE}
    assert written.set_aside == {"unknown_query": 1, "no_positive": 1}


def test_judgements_of_other_queries_are_refused(folder: Path) -> None:
    (folder / "qrels.txt").write_text("x1 0 cats 1\nx2 0 cats 1\n")
    with pytest.raises(
        InputError,
        match=r"no query can be measured \(2 unknown_query; the first, .*qrels.txt x1: .*\); check the ids",
    ):
        written_of(folder)


def test_a_limit_takes_the_first_judged_queries(folder: Path) -> None:
    written, groups, _, _ = written_of(folder, limit=2)
    assert (written.queries, [group.query_id for group in groups]) == (2, ["q1", "q2"])


def group_line(query_id: str, *docs: dict[str, Any], query: str = "a query") -> str:
    return json.dumps({"query_id": query_id, "query": query, "docs": docs}) + "\n"


def test_groups_have_their_own_order_and_a_flagged_document_is_not_measured(tmp_path: Path) -> None:
    good = {"doc_id": "a", "text": "one", "label": 0, "rank": 1}, {"doc_id": "b", "text": "two", "label": 1, "rank": 2}
    flagged = {"doc_id": "c", "text": "three", "label": 1, "rank": 3, "flags": ["empty"]}
    (tmp_path / "g.jsonl").write_text(group_line("q", *good, flagged))
    written, groups, facts, _ = written_of(tmp_path, groups=str(tmp_path / "g.jsonl"))
    assert written.has_order
    assert docs_of(groups[0]) == [("a", 0, None), ("b", 1, None)]
    assert (facts[0].retrieved, facts[0].document_characters) == (2, 3)


def test_groups_without_ranks_have_no_first_stage(tmp_path: Path) -> None:
    # Training groups have the positive first: taken for a first stage, it would be perfect.
    (tmp_path / "g.jsonl").write_text(
        group_line("q", {"doc_id": "a", "text": "one", "label": 1}, {"doc_id": "b", "text": "two", "label": 0})
    )
    written, _, _, _ = written_of(tmp_path, groups=str(tmp_path / "g.jsonl"))
    assert not written.has_order


def test_groups_that_cannot_be_measured_are_told(tmp_path: Path) -> None:
    lines = [
        group_line("q1", {"doc_id": "a", "text": "one", "label": 1}),
        group_line("q1", {"doc_id": "a", "text": "one", "label": 1}),
        group_line("q2", {"doc_id": "a", "text": "one", "label": 0}),
        group_line("q3", {"doc_id": "a", "text": "one", "label": 1}, query=" "),
        "{}\n",
    ]
    (tmp_path / "g.jsonl").write_text("".join(lines))
    _, groups, _, aside = written_of(tmp_path, groups=str(tmp_path / "g.jsonl"))
    assert [group.query_id for group in groups] == ["q1"]
    assert [(row.line, row.reason) for row in aside] == [
        (2, Reason.DUPLICATE_ID),
        (3, Reason.NO_POSITIVE),
        (4, Reason.EMPTY_QUERY),
        (5, Reason.MALFORMED),
    ]


def test_a_csv_of_questions_becomes_a_corpus_of_its_documents(tmp_path: Path) -> None:
    rows = [
        "where is it?,there,d1,It is there.",
        "who?,me,d1,Another text of this id.",
        "where is it?,x,d2,It is here too.",
    ]
    (tmp_path / "set.csv").write_text("\ufeffquestion,answer,doc_id,doc\n" + "\n".join(rows) + "\n")
    beir_of(str(tmp_path / "set.csv"), str(tmp_path / "beir"), refused)
    folder = str(tmp_path / "beir")
    _, groups, _, aside = written_of(tmp_path, queries=folder, corpus=folder, qrels=folder, depth=3)
    assert not aside
    relevant = {group.query: {doc.doc_id for doc in group.docs if doc.label} for group in groups}
    assert relevant == {"where is it?": {"d1", "d2"}, "who?": {"d1~2"}}


def test_a_csv_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("question,answer,doc\nq,a,d\n")
    with pytest.raises(InputError, match="has no column doc_id; it has question, answer, doc"):
        beir_of(str(tmp_path / "set.csv"), str(tmp_path / "beir"), refused)


def test_a_document_that_no_model_could_score_is_in_no_row_and_still_counts_as_relevant(tmp_path: Path) -> None:
    docs = [
        {"doc_id": "a", "text": "one", "label": 1, "rank": 1},
        {"doc_id": "b", "text": " ", "label": 1, "rank": 2},
        {"doc_id": "c", "label": 0, "rank": 3},
        {"doc_id": "a", "text": "one again", "label": 1, "rank": 4},
    ]
    (tmp_path / "g.jsonl").write_text(group_line("q", *docs))
    _, groups, facts, aside = written_of(tmp_path, groups=str(tmp_path / "g.jsonl"), depth=5)
    assert docs_of(groups[0]) == [("a", 1, None)]
    assert facts[0].elsewhere == {"b": 1, "c": 0}
    assert [row.reason for row in aside] == [Reason.EMPTY_DOCUMENT, Reason.UNKNOWN_DOCUMENT, Reason.DUPLICATE_ID]


def test_a_run_of_another_corpus_is_refused(folder: Path) -> None:
    (folder / "first.trec").write_text("q1 Q0 x1 1 2.0 x\nq9 Q0 cats 1 1.0 x\n")
    with pytest.raises(
        InputError,
        match=r"first.trec has no document of the corpus for any of the 3 judged queries \(1 unknown_document, "
        r"1 unknown_query; the first, .*first.trec line 1 .*\); check that the run belongs to them",
    ):
        written_of(folder, candidates=str(folder / "first.trec"))


def test_a_row_of_a_csv_without_a_question_or_a_document_is_told_once_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text(
        "question,answer,doc_id,doc\nwho?,a,d1,me\n ,b,d2,nobody\nwhat?,c,d3,\nwho?,,d4,you\n"
    )
    aside: list[Rejected] = []
    beir_of(str(tmp_path / "set.csv"), str(tmp_path / "beir"), aside.append)
    assert [(row.line, row.reason) for row in aside] == [(3, Reason.EMPTY_QUERY), (4, Reason.EMPTY_DOCUMENT)]
    beir = str(tmp_path / "beir")
    _, groups, _, more = written_of(tmp_path, queries=beir, corpus=beir, qrels=beir)
    assert not more
    assert [group.query for group in groups] == ["who?"]


def test_a_document_that_stands_first_without_text_and_then_with_it_counts_its_label_once(tmp_path: Path) -> None:
    docs = [
        {"doc_id": "a", "text": "", "label": 1.0},
        {"doc_id": "a", "text": "the answer", "label": 1.0},
        {"doc_id": "b", "text": "another", "label": 0.0},
    ]
    (tmp_path / "g.jsonl").write_text(json.dumps({"query_id": "q", "query": "q", "docs": docs}))
    settings = EvaluateSettings(models=("m=model",), groups=str(tmp_path / "g.jsonl"), output=str(tmp_path / "out"))
    written = write_candidates(settings, str(tmp_path / "groups.parquet"), lambda _: None)
    [facts] = Lists.read(written).facts
    assert facts.elsewhere == {}
