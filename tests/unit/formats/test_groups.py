import json
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossrank.errors import InputError
from crossrank.formats import groups_jsonl, groups_parquet
from crossrank.records import Candidate, Group, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]

FULL = Group(
    "q1",
    "질문 \u2028 😀",
    (
        Candidate(
            "d1",
            "text\n",
            "title",
            label=0.1 + 0.2,
            rank=0,
            score=5e-324,
            teacher_score=-1.7976931348623157e308,
            source="bm25",
            flags=("too_long", "too_long"),
            meta={"b": [1, None], "a": "값"},
        ),
        Candidate("d1"),
        Candidate("d2", ""),
    ),
    lang="ko",
    split="train",
    meta={"prompt": "p"},
)
BARE = Group("q2", "")


def test_parquet_groups_read_back_as_they_were_written(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "groups.parquet")
    assert groups_parquet.write_groups(uri, [FULL, BARE]) == 2
    assert list(groups_parquet.read_groups(uri, rejected.append)) == [(1, FULL), (2, BARE)]
    assert rejected == []


def test_json_groups_read_back_as_they_were_written(tmp_path: Path, rejected: list[Rejected]) -> None:
    for name in ("groups.jsonl", "groups.jsonl.gz"):
        uri = str(tmp_path / name)
        assert groups_jsonl.write_groups(uri, [FULL, BARE], rejected.append) == 2
        assert list(groups_jsonl.read_groups(uri, rejected.append)) == [(1, FULL), (2, BARE)]
    assert rejected == []


def test_the_parquet_schema_is_the_documented_one(tmp_path: Path) -> None:
    uri = str(tmp_path / "groups.parquet")
    groups_parquet.write_groups(uri, [BARE])
    docs = (
        "list<element: struct<doc_id: string, title: string, text: string, label: double, rank: int32, score: double, "
        "teacher_score: double, source: string, flags: list<element: string>, meta: string>>"
    )
    types = ["string"] * 5 + [docs]
    names = ["query_id", "query", "lang", "split", "meta", "docs"]
    assert [(field.name, str(field.type)) for field in pq.read_schema(uri)] == list(zip(names, types, strict=True))


def test_the_writer_holds_one_row_group_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups_parquet, "ROW_GROUP_GROUPS", 4)
    monkeypatch.setattr(groups_parquet, "ROW_GROUP_CHARACTERS", 100)
    sizes = [1] * 6 + [90, 20, 1]  # 4 by number; 2 + the long two by characters; the rest
    uri = str(tmp_path / "groups.parquet")
    groups_parquet.write_groups(uri, (Group(str(number), "x" * size) for number, size in enumerate(sizes)))
    metadata = pq.ParquetFile(uri).metadata
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == [4, 4, 1]


def test_no_groups_make_a_file_that_can_be_read(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "groups.parquet")
    assert groups_parquet.write_groups(uri, []) == 0
    assert list(groups_parquet.read_groups(uri, rejected.append)) == []


def test_a_folder_of_parts_is_read_in_order(tmp_path: Path, rejected: list[Rejected]) -> None:
    for name, query_id in (("part-1.parquet", "b"), ("part-0.parquet", "a"), ("_part.parquet", "x")):
        groups_parquet.write_groups(str(tmp_path / name), [Group(query_id, "x")])
    (tmp_path / "_manifest.json").write_text("{}")
    found = groups_parquet.read_groups(str(tmp_path), rejected.append)
    assert [(line, group.query_id) for line, group in found] == [(1, "a"), (1, "b")]


def test_parquet_that_is_not_groups_is_refused(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "corpus.parquet")
    pq.write_table(pa.table({"_id": ["1"], "text": ["x"]}), uri)
    with pytest.raises(InputError, match=r"has no column query_id, only _id, text; make groups .* crossrank convert"):
        list(groups_parquet.read_groups(uri, rejected.append))


def test_parquet_rows_that_are_no_groups_are_rejected_alone(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "groups.parquet")
    rows = [
        {"query_id": 1, "query": "a", "docs": [{"doc_id": 9, "label": 1}], "meta": None},
        {"query_id": 2, "query": None, "docs": [], "meta": None},
        {"query_id": 3, "query": "a", "docs": None, "meta": None},
        {"query_id": 4, "query": "a", "docs": [], "meta": "{"},
        {"query_id": 5, "query": "a", "docs": [], "meta": '{"n": 1}'},
    ]
    pq.write_table(pa.Table.from_pylist(rows), uri)
    assert list(groups_parquet.read_groups(uri, rejected.append)) == [
        (1, Group("1", "a", (Candidate("9", label=1.0),))),
        (5, Group("5", "a", meta={"n": 1})),
    ]
    assert [(row.source, row.line, row.record_id, row.detail) for row in rejected] == [
        (uri, 2, "2", "query is null, and a string is wanted"),
        (uri, 3, "3", "docs is null, and a list is wanted"),
        (uri, 4, "4", "meta is not JSON: Expecting property name enclosed in double quotes at column 2"),
    ]


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"query_id": None}, "query_id is null, and a string or a whole number is wanted"),
        ({"query": 5}, "query is a whole number, and a string is wanted"),
        ({"docs": {}}, "docs is an object, and a list is wanted"),
        ({"docs": ["d"]}, "docs[0] is a string, and an object is wanted"),
        (
            {"docs": [{"doc_id": "d"}, {"text": "x"}]},
            "docs[1].doc_id is missing, and a string or a whole number is wanted",
        ),
        ({"docs": [{"doc_id": "d", "label": "1"}]}, "docs[0].label is a string, and a number is wanted"),
        ({"docs": [{"doc_id": "d", "label": True}]}, "docs[0].label is true or false, and a number is wanted"),
        (
            {"docs": [{"doc_id": "d", "score": 2**53 + 1}]},
            "docs[0].score is 9007199254740993, which a float cannot hold exactly",
        ),
        ({"docs": [{"doc_id": "d", "score": 10**400}]}, "docs[0].score is beyond what a float can hold"),
        ({"docs": [{"doc_id": "d", "rank": 1.5}]}, "docs[0].rank is 1.5, and a whole number or null is wanted"),
        ({"docs": [{"doc_id": "d", "rank": 1e300}]}, "docs[0].rank is 1e+300, beyond 2147483647"),
        ({"docs": [{"doc_id": "d", "rank": True}]}, "docs[0].rank is true or false, and a whole number is wanted"),
        ({"docs": [{"doc_id": "d", "rank": "1"}]}, "docs[0].rank is a string, and a whole number is wanted"),
        ({"docs": [{"doc_id": "d", "rank": 2**31}]}, "docs[0].rank is 2147483648, beyond 2147483647"),
        ({"docs": [{"doc_id": "d", "rank": -3}]}, "docs[0].rank is -3, and ranks are counted from 0 or 1"),
        ({"docs": [{"doc_id": "d", "rank": -1.0}]}, "docs[0].rank is -1.0, and ranks are counted from 0 or 1"),
        ({"docs": [{"doc_id": "d", "flags": [1]}]}, "docs[0].flags[0] is a whole number, and a string is wanted"),
        ({"docs": [{"doc_id": "d", "lable": 1}]}, "has the key lable, which a group does not have; put it into meta"),
        ({"prompt": "p"}, "has the key prompt, which a group does not have; put it into meta"),
        ({"meta": [1]}, "meta is a list, and an object is wanted"),
    ],
)
def test_a_json_group_with_anything_wrong_is_rejected_as_a_whole(
    write: WriteFile, rejected: list[Rejected], change: dict[str, object], detail: str
) -> None:
    good = {"query_id": "q", "query": "x", "docs": []}
    uri = write("groups.jsonl", "\n".join(json.dumps(row) for row in (good, good | change, good)))
    assert [line for line, _ in groups_jsonl.read_groups(uri, rejected.append)] == [1, 3]
    record_id = None if "query_id" in change else "q"
    assert rejected == [Rejected(uri, 2, record_id, Reason.MALFORMED, detail)]


def test_ranks_that_pandas_made_floats_of_are_whole_numbers_and_nan_is_refused_as_in_a_label(
    tmp_path: Path, write: WriteFile, rejected: list[Rejected]
) -> None:
    docs = [{"doc_id": "b", "rank": 2.0}, {"doc_id": "c", "rank": None}, {"doc_id": "a", "rank": 1.0}]
    in_parquet = str(tmp_path / "floats.parquet")
    rows = [{"query_id": "q", "query": "x", "docs": docs}, {"query_id": "n", "query": "x", "docs": [docs[0]]}]
    rows[1]["docs"] = [{"doc_id": "b", "rank": math.nan}]
    pq.write_table(pa.Table.from_pylist(rows), in_parquet)
    in_json = write("floats.jsonl", json.dumps(rows[0]))
    for read, uri in ((groups_parquet.read_groups, in_parquet), (groups_jsonl.read_groups, in_json)):
        [(_, group)] = read(uri, rejected.append)
        assert [(doc.doc_id, doc.rank) for doc in group.docs] == [("a", 1), ("b", 2), ("c", None)]
        assert {type(doc.rank) for doc in group.docs} == {int, type(None)}
    assert [row.detail for row in rejected] == ["docs[0].rank is nan, and a whole number or null is wanted"]


def test_json_has_no_nan_so_a_group_with_one_is_rejected(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "groups.jsonl")
    broken = Group("q", "x", (Candidate("d", score=math.nan),))
    assert groups_jsonl.write_groups(uri, [BARE, broken, FULL], rejected.append) == 2
    assert [(row.record_id, row.reason) for row in rejected] == [("q", Reason.SCORE_NOT_FINITE)]
    assert len(list(groups_jsonl.read_groups(uri, rejected.append))) == 2
