import json
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.errors import InputError, OutputError
from crossrank.formats import beir
from crossrank.records import Candidate, Group, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]

HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.fixture
def folder(write: WriteFile) -> str:
    write(
        "in/corpus.jsonl",
        '{"_id": "d1", "title": "T", "text": "one", "metadata": {"u": 1}}\n'
        '{"_id": "d2", "text": "two"}\n{"_id": "d3", "text": "nobody judged this"}\n',
    )
    write("in/queries.jsonl", '{"_id": "q1", "text": "하나", "metadata": {}}\n{"_id": "q2", "text": "둘"}\n')
    write("in/qrels/test.tsv", HEADER + "q2\td2\t1\nq1\td1\t2\n")
    return str(Path(write("in/qrels/dev.tsv", HEADER + "q1\td2\t0\nq1\td1\t1\n")).parent.parent)


def test_a_folder_becomes_one_group_for_each_judged_query_of_each_split(folder: str, rejected: list[Rejected]) -> None:
    found = list(beir.read_groups(folder, rejected.append))
    meta = {"metadata": {"u": 1}}
    assert found == [
        (
            2,
            Group(
                "q1",
                "하나",
                (Candidate("d2", "two", label=0.0), Candidate("d1", "one", "T", label=1.0, meta=meta)),
                split="dev",
                meta={"metadata": {}},
            ),
        ),
        (2, Group("q2", "둘", (Candidate("d2", "two", label=1.0),), split="test")),
        (
            3,
            Group(
                "q1", "하나", (Candidate("d1", "one", "T", label=2.0, meta=meta),), split="test", meta={"metadata": {}}
            ),
        ),
    ]
    assert rejected == []


def test_a_folder_reads_back_as_it_was_written(tmp_path: Path, folder: str, rejected: list[Rejected]) -> None:
    groups = [group for _, group in beir.read_groups(folder, rejected.append)]
    target = tmp_path / "out"
    assert beir.write_groups(str(target), groups, rejected.append) == 3
    assert [group for _, group in beir.read_groups(str(target), rejected.append)] == groups
    assert (target / "qrels" / "test.tsv").read_text() == HEADER + "q2\td2\t1\nq1\td1\t2\n"
    ids = [json.loads(line)["_id"] for line in (target / "corpus.jsonl").read_text().splitlines()]
    assert ids == ["d2", "d1"]  # each once, although three groups name them
    assert rejected == []


def test_judgements_at_the_root_have_no_split(tmp_path: Path, write: WriteFile, rejected: list[Rejected]) -> None:
    write("in/corpus.jsonl.gz", '{"_id": "d1", "text": "one"}\n')
    write("in/queries.jsonl.gz", '{"_id": "q1", "text": "x"}\n')
    source = str(Path(write("in/qrels.tsv", "q1\td1\t1\n")).parent)  # no header either
    groups = [group for _, group in beir.read_groups(source, rejected.append)]
    assert groups == [Group("q1", "x", (Candidate("d1", "one", label=1.0),))]
    beir.write_groups(str(tmp_path / "out"), groups, rejected.append)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["corpus.jsonl", "qrels.tsv", "queries.jsonl"]


def test_judgements_of_what_the_folder_does_not_have_are_rejected_line_by_line(
    write: WriteFile, folder: str, rejected: list[Rejected]
) -> None:
    uri = write(
        "in/qrels/test.tsv", HEADER + "q1\td1\t1\nq1\td9\t1\nq9\td1\t1\nq9\td2\t1\nq2\td2\nq2\td2\tx\n\td2\t1\n"
    )
    found = list(beir.read_groups(folder, rejected.append))
    assert [(group.split, group.query_id, len(group.docs)) for _, group in found] == [
        ("dev", "q1", 2),
        ("test", "q1", 1),
    ]
    assert [(row.source, row.line, row.record_id, row.reason) for row in rejected] == [
        (uri, 6, "q2", Reason.MALFORMED),
        (uri, 7, "q2", Reason.MALFORMED),
        (uri, 8, None, Reason.MALFORMED),
        (uri, 3, "d9", Reason.UNKNOWN_DOCUMENT),
        (uri, 4, "q9", Reason.UNKNOWN_QUERY),
        (uri, 5, "q9", Reason.UNKNOWN_QUERY),
    ]


def test_the_second_document_of_an_id_is_rejected(write: WriteFile, folder: str, rejected: list[Rejected]) -> None:
    uri = write(
        "in/corpus.jsonl", '{"_id": "d1", "text": "one"}\n{"_id": "d2", "text": "a"}\n{"_id": "d2", "text": "b"}\n'
    )
    texts = {doc.doc_id: doc.text for _, group in beir.read_groups(folder, rejected.append) for doc in group.docs}
    assert texts == {"d1": "one", "d2": "a"}
    assert [(row.source, row.line, row.record_id, row.reason) for row in rejected] == [
        (uri, 3, "d2", Reason.DUPLICATE_ID)
    ]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("corpus.jsonl", r"has no corpus\.jsonl, so it is not a BEIR folder"),
        ("queries.jsonl", r"has no queries\.jsonl, so it is not a BEIR folder"),
        ("qrels", "has no judgements; a BEIR folder has"),
    ],
)
def test_a_folder_without_one_of_its_parts_is_refused(
    folder: str, rejected: list[Rejected], missing: str, message: str
) -> None:
    (Path(folder) / missing).rename(Path(folder) / f"_{missing}")
    with pytest.raises(InputError, match=message):
        list(beir.read_groups(folder, rejected.append))


def test_a_folder_that_holds_something_is_not_written_into(folder: str, rejected: list[Rejected]) -> None:
    with pytest.raises(OutputError, match="is not empty"):
        beir.write_groups(folder, [], rejected.append)


def judged(query_id: str = "q", query: str = "x", split: str | None = "s", **doc: object) -> Group:
    fields: dict[str, object] = {"doc_id": "d", "text": "t", "label": 1.0}
    return Group(query_id, query, (Candidate(**(fields | doc)),), split=split)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (judged(), Reason.DUPLICATE_ID),
        (judged("q2", text="other text"), Reason.DUPLICATE_ID),
        (judged(query="other", split="s2"), Reason.DUPLICATE_ID),
        (judged("q2", label=None), Reason.NO_CANDIDATES),
        (judged("q2", text=None), Reason.MALFORMED),
        (judged("q2", doc_id="a\tb"), Reason.MALFORMED),
        (judged("q\n2"), Reason.MALFORMED),
        (judged("q2", flags=("same",)), Reason.MALFORMED),
        (judged("q2", split="../up"), Reason.MALFORMED),
        (judged("q2", meta={"text": "?"}), Reason.MALFORMED),
        (judged("q2", label=float("nan")), Reason.SCORE_NOT_FINITE),
    ],
)
def test_a_group_that_a_folder_cannot_hold_leaves_no_trace_in_it(
    tmp_path: Path, rejected: list[Rejected], bad: Group, reason: Reason
) -> None:
    target = tmp_path / "out"
    assert beir.write_groups(str(target), [judged(), bad, judged("q3", doc_id="d3")], rejected.append) == 2
    assert [(row.record_id, row.reason) for row in rejected] == [(bad.query_id, reason)]
    assert [len((target / name).read_text().splitlines()) for name in ("corpus.jsonl", "queries.jsonl")] == [2, 2]
    assert [path.name for path in (target / "qrels").iterdir()] == ["s.tsv"]
    assert (target / "qrels" / "s.tsv").read_text() == HEADER + "q\td\t1\nq3\td3\t1\n"


def test_unjudged_documents_are_in_the_corpus_only(tmp_path: Path, rejected: list[Rejected]) -> None:
    group = Group("q", "x", (Candidate("d1", "a", label=1.0), Candidate("d2", "b")))
    assert beir.write_groups(str(tmp_path / "out"), [group], rejected.append) == 1
    assert len((tmp_path / "out" / "corpus.jsonl").read_text().splitlines()) == 2
    assert (tmp_path / "out" / "qrels.tsv").read_text() == HEADER + "q\td1\t1\n"
