"""What is given as ``--groups``: each form is read, or refused with the command or the flag for it."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossrank.errors import InputError
from crossrank.formats.conversion import convert
from crossrank.formats.group_files import fingerprint_of_groups, read_group_files, read_group_queries
from crossrank.records import Group, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]

FLAGEMBEDDING = {"query": "큐", "pos": ["p"], "neg": ["n1", "n2"], "pos_scores": [0.5], "neg_scores": [0.1, 0.2]}
TRIPLET = {"anchor": "큐", "positive": "p", "negative_1": "n1", "negative_2": "n2"}
LABELLED = {"query": "큐", "docs": ["p", "n1", "n2"], "labels": [1, 0, 0]}
OURS = {"query_id": "1", "query": "큐", "docs": [{"doc_id": "a", "text": "p", "label": 1.0}]}


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read(uri: str, rejected: list[Rejected]) -> list[Group]:
    return [group for _, _, group in read_group_files(uri, rejected.append)]


@pytest.mark.parametrize(
    ("name", "row"), [("flagembedding", FLAGEMBEDDING), ("st-triplets", TRIPLET), ("st-labelled", LABELLED)]
)
@pytest.mark.parametrize("file", ["train.jsonl", "train.json", "train.jsonl.gz", "train.ndjson", "train"])
def test_rows_that_carry_their_texts_are_read_as_if_they_had_been_converted(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected], name: str, row: dict[str, Any], file: str
) -> None:
    uri = write(file, lines(row, row))
    groups = read(uri, rejected)
    assert [group.query for group in groups] == ["큐", "큐"]
    assert [(doc.text, doc.label) for doc in groups[0].docs] == [("p", 1.0), ("n1", 0.0), ("n2", 0.0)]
    if file == "train.jsonl":
        converted = str(tmp_path / "groups.parquet")
        convert(name, "groups", uri, converted, rejected.append)
        assert read(converted, rejected) == groups
    assert rejected == []
    assert fingerprint_of_groups(uri)
    assert list(read_group_queries(uri)) == ["큐", "큐"]


@pytest.mark.parametrize("row", [FLAGEMBEDDING, TRIPLET, LABELLED])
def test_the_same_rows_are_read_from_parquet_without_the_columns_beside_them(
    tmp_path: Path, rejected: list[Rejected], row: dict[str, Any]
) -> None:
    uri = str(tmp_path / "train.parquet")
    pq.write_table(pa.Table.from_pylist([{**row, "vector": [0.5] * 8}]), uri)
    [group] = read(uri, rejected)
    assert [(doc.text, doc.label) for doc in group.docs] == [("p", 1.0), ("n1", 0.0), ("n2", 0.0)]
    assert (group.meta.get("vector"), rejected) == (None, [])
    assert list(read_group_queries(uri)) == ["큐"]


def test_equal_queries_of_two_files_of_a_folder_stay_two_groups(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    write("f/a.jsonl", lines(FLAGEMBEDDING))
    write("f/b.jsonl", lines(FLAGEMBEDDING))
    first, second = read(str(tmp_path / "f"), rejected)
    assert first.query_id != second.query_id


def test_msmarco_triplets_as_they_are_fetched_are_read(write: WriteFile, rejected: list[Rejected]) -> None:
    [group] = read(write("t.jsonl.gz", lines({"query": "q", "pos": ["p"], "neg": ["n"]})), rejected)
    assert [doc.label for doc in group.docs] == [1.0, 0.0]


def test_what_a_file_holds_decides_and_not_what_it_is_called(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    parquet = str(tmp_path / "groups.parquet")
    convert("groups-jsonl", "groups", write("g.jsonl", lines(OURS)), parquet, rejected.append)
    misnamed = write("misnamed.jsonl", Path(parquet).read_bytes())
    other = write("other.parquet", lines(OURS))
    assert read(misnamed, rejected) == read(other, rejected) == read(parquet, rejected)


def test_a_malformed_first_line_does_not_decide_what_the_file_is(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("g.jsonl", "not json\n" + lines({"query": "x", "document": "y"}, OURS))
    assert [group.query_id for group in read(uri, rejected)] == ["1"]
    assert [(row.line, row.reason) for row in rejected] == [(1, Reason.MALFORMED), (2, Reason.MALFORMED)]


REFUSED: list[tuple[str, str | bytes, str]] = [
    ("pairs.jsonl", lines({"query": "q", "document": "d"}), "holds pairs .*crossrank score --input"),
    ("pairs.jsonl", lines({"query": "q", "document": "d", "score": 0.5}), "holds pairs .*crossrank score --input"),
    ("c.jsonl", lines({"_id": "1", "title": "t", "text": "x"}), r"holds passages \(_id, title, text\).*as --corpus$"),
    ("c.jsonl", lines({"_id": "1", "text": "x"}), "passages or queries .*as --corpus or --queries"),
    ("q.jsonl", lines({"query_id": "1", "query": "x"}), "queries without documents.*--queries, beside --corpus"),
    ("run.trec", "q1 Q0 d1 1 2.5 bm25\n", "TREC run.*--candidates, beside --queries and --corpus"),
    ("x.qrels", "q1 0 d1 1\n", "judgements.*--qrels, beside --queries and --corpus"),
    ("test.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\n", "judgements.*--qrels, beside"),
    (
        "eval.csv",
        "question,answer,doc_id,doc\nq,a,1,d\n",
        "questions and answers.*crossrank convert --from qa-csv --to groups /.*eval.csv eval-groups.parquet$",
    ),
    ("t.csv", "query,positive\nq,p\n", r"crossrank convert --from dataset --to groups /\S*/t.csv t-groups.parquet$"),
    (
        "t.jsonl",
        lines({"query": "q", "positive_passages": [], "negative_passages": []}),
        r"rows of a data set .*crossrank convert --from dataset --to groups /\S*/t.jsonl t-groups.parquet$",
    ),
    ("t.json", json.dumps([FLAGEMBEDDING], indent=1), "one JSON list, and one object a line .*convert --from dataset"),
    ("t.jsonl", json.dumps([FLAGEMBEDDING]), "one JSON list, and one object a line .*convert --from dataset"),
    (
        "x.jsonl",
        lines({"a": 1, "b": 2}),
        "its rows have a, b and no query_id, and a group has query_id, query and docs",
    ),
    ("x.jsonl", lines({"query": "q", "docs": ["a"]}), "its rows have query, docs and no query_id, and a group has"),
    ("x.bin", b"\x00\x01\x02", "neither Parquet nor JSON lines"),
    ("x.jsonl", gzip.compress(b"{}"), r"packed by gzip, and its name does not say so; name it .*x\.jsonl\.gz"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), REFUSED)
def test_what_is_no_groups_is_refused_by_every_door_with_the_way_out(
    write: WriteFile, name: str, content: str | bytes, sentence: str
) -> None:
    uri = write(name, content)
    for door in (fingerprint_of_groups, lambda uri: read(uri, []), lambda uri: list(read_group_queries(uri))):
        with pytest.raises(InputError, match=sentence) as refused:
            door(uri)
        assert str(refused.value).startswith(uri)


def test_a_parquet_file_of_something_else_is_refused_likewise(tmp_path: Path) -> None:
    uri = str(tmp_path / "corpus.parquet")
    pq.write_table(pa.table({"doc_id": ["1"], "text": ["x"]}), uri)
    with pytest.raises(InputError, match=r"holds passages \(doc_id, text\), not groups; give it as --corpus"):
        fingerprint_of_groups(uri)


def test_a_beir_folder_is_refused_with_the_command(tmp_path: Path, write: WriteFile) -> None:
    write("scifact/corpus.jsonl", lines({"_id": "1", "text": "x"}))
    write("scifact/queries.jsonl.gz", lines({"_id": "1", "text": "x"}))
    uri = str(tmp_path / "scifact")
    command = f"crossrank convert --from beir --to groups {uri} scifact-groups.parquet"
    with pytest.raises(InputError, match=re.escape(f"{uri} is a BEIR folder, not groups; run {command}")):
        fingerprint_of_groups(uri)


def test_a_saved_data_set_is_refused_with_the_command(tmp_path: Path, write: WriteFile) -> None:
    write("saved/dataset_info.json", "{}")
    write("saved/data-00000-of-00001.arrow", b"ARROW1")
    with pytest.raises(
        InputError, match="saved data set, not groups; run crossrank convert --from dataset --to groups"
    ):
        fingerprint_of_groups(str(tmp_path / "saved"))


def test_plain_text_that_is_named_gz_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl.gz"
    path.write_text(lines(OURS))
    with pytest.raises(InputError, match="named as packed by gzip and is not"):
        read(str(path), [])


@pytest.mark.parametrize(
    ("row", "detail"),
    [
        ({**FLAGEMBEDDING, "pos": "p"}, "pos is a string, and a list is wanted"),
        ({**FLAGEMBEDDING, "pos": None}, "pos is null, and a list is wanted"),
        ({**FLAGEMBEDDING, "pos": ["p", 3]}, "pos[1] is a whole number, and a string is wanted"),
        ({**FLAGEMBEDDING, "query": 3}, "query is a whole number, and a string is wanted"),
        ({"pos": ["p"], "neg": []}, "query is missing, and a string is wanted"),
        ({**FLAGEMBEDDING, "neg_scores": [0.1]}, "neg_scores has 1 numbers, and neg has 2 texts"),
        ({**FLAGEMBEDDING, "pos_scores": ["high"]}, "pos_scores[0] is a string, and a number is wanted"),
        ({**FLAGEMBEDDING, "pos_scores": [None]}, "pos_scores[0] is null, and a number is wanted"),
        ({**FLAGEMBEDDING, "pos_scores": 0.5}, "pos_scores is a number with a point, and a list is wanted"),
    ],
)
def test_a_malformed_row_names_the_field_what_it_holds_and_what_is_wanted(
    write: WriteFile, rejected: list[Rejected], row: dict[str, Any], detail: str
) -> None:
    groups = read(write("t.jsonl", lines(FLAGEMBEDDING, row)), rejected)
    assert (len(groups), [(row.line, row.detail) for row in rejected]) == (1, [(2, detail)])


def test_a_parquet_file_that_was_packed_besides_says_so(tmp_path: Path) -> None:
    path = tmp_path / "g.parquet.gz"
    path.write_bytes(gzip.compress(b"PAR1 and more"))
    with pytest.raises(InputError, match=r"is not a Parquet file .*unpack it \(gunzip\)"):
        fingerprint_of_groups(str(path))
