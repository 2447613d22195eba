"""The passages of groups as a corpus to search in."""

import json
from pathlib import Path

import pytest

from crossrank.formats import corpus_jsonl
from crossrank.formats.tables import read_documents
from crossrank.records import Candidate, Document, Group, Reason, Rejected


@pytest.fixture
def target(tmp_path: Path) -> str:
    return str(tmp_path / "corpus.jsonl")


def rows(target: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(target).read_text(encoding="utf-8").splitlines()]


def test_each_passage_is_written_once_as_the_corpus_that_jobs_read(target: str, rejected: list[Rejected]) -> None:
    a, b = Candidate("a", "가", "제목", label=1.0), Candidate("b", "nothing else", label=0.0, rank=3)
    groups = [Group("q1", "x", (a, b)), Group("q2", "y", (b,)), Group("q3", "z", (a, Candidate("c", "third")))]
    assert corpus_jsonl.write_groups(target, groups, rejected.append) == 3
    assert rejected == []
    assert rows(target) == [
        {"_id": "a", "title": "제목", "text": "가"},
        {"_id": "b", "text": "nothing else"},
        {"_id": "c", "text": "third"},
    ]
    read = [document for _, document in read_documents(target, rejected.append)]
    assert read[0] == Document("a", "가", "제목")


def test_a_flagged_passage_is_no_negative_for_anybody_unless_another_group_has_it_without_a_flag(
    target: str, rejected: list[Rejected]
) -> None:
    bad = Candidate("bad", "[err]", flags=("backend_error",))
    groups = [
        Group("q1", "x", (Candidate("a", "one"), bad)),
        Group("q2", "y", (Candidate("b", "two", flags=("query_empty",)),)),
        Group("q3", "z", (Candidate("b", "two"),)),
    ]
    assert corpus_jsonl.write_groups(target, groups, rejected.append) == 2
    assert [row["_id"] for row in rows(target)] == ["a", "b"]
    assert [(row.record_id, row.reason) for row in rejected] == [("q2", Reason.NO_CANDIDATES)]


def test_a_passage_that_groups_name_without_its_text_is_left_to_the_corpus_that_has_it(
    target: str, rejected: list[Rejected]
) -> None:
    assert corpus_jsonl.write_groups(
        target, [Group("q", "x", (Candidate("a", "one"), Candidate("elsewhere")))], rejected.append
    )
    assert [row["_id"] for row in rows(target)] == ["a"]


def test_two_texts_under_one_id_are_told_and_the_first_is_kept(target: str, rejected: list[Rejected]) -> None:
    groups = [
        Group("q1", "x", (Candidate("a", "one"),)),
        Group("q2", "y", (Candidate("a", "another"), Candidate("b", "two"))),
        Group("q3", "z", (Candidate("b", "two"),)),
    ]
    assert corpus_jsonl.write_groups(target, groups, rejected.append) == 2
    assert rows(target) == [{"_id": "a", "text": "one"}, {"_id": "b", "text": "two"}]
    assert [(row.record_id, row.reason) for row in rejected] == [("q2", Reason.DUPLICATE_ID)]
    assert rejected[0].detail == "the document a had another text or title before"
