import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossrank.errors import InputError
from crossrank.formats.tables import read_documents, read_queries
from crossrank.records import Document, Reason, Rejected

WriteFile = Callable[[str, str | bytes], str]


def ids_and_texts(uri: str, rejected: list[Rejected], **columns: Any) -> list[tuple[str, str]]:
    return [(query.query_id, query.text) for query in read_queries(uri, rejected.append, **columns)]


def documents(uri: str, rejected: list[Rejected], **columns: Any) -> list[tuple[int, Document]]:
    return list(read_documents(uri, rejected.append, **columns))


QUERIES_IN_EVERY_KIND: list[tuple[str, str]] = [
    ("q.jsonl", '{"_id": "1", "text": "하나"}\n{"_id": "2", "text": "둘"}\n'),
    ("q.jsonl.gz", '{"query_id": 1, "query": "하나"}\n{"query_id": 2, "query": "둘"}\n'),
    ("q.ndjson", '{"id": "1", "text": "하나"}\n{"id": "2", "text": "둘"}\n'),
    ("q.tsv", "1\t하나\n2\t둘\n"),
    ("q.tsv.gz", "query\tid\n하나\t1\n둘\t2\n"),
    ("q.csv", "id,text\n1,하나\n2,둘\n"),
    ("q.csv.gz", "id,text\r\n1,하나\r\n2,둘\r\n"),
]


@pytest.mark.parametrize(("name", "content"), QUERIES_IN_EVERY_KIND)
def test_queries_are_the_same_in_every_kind_of_file(
    write: WriteFile, rejected: list[Rejected], name: str, content: str
) -> None:
    assert ids_and_texts(write(name, content), rejected) == [("1", "하나"), ("2", "둘")]
    assert rejected == []


@pytest.mark.parametrize("name", ["q.jsonl", "q.tsv", "q.csv"])
def test_a_byte_order_mark_is_not_part_of_the_first_id(write: WriteFile, rejected: list[Rejected], name: str) -> None:
    content = {"q.jsonl": '{"_id": "1", "text": "x"}', "q.tsv": "1\tx", "q.csv": "_id,text\n1,x"}[name]
    assert ids_and_texts(write(name, "\ufeff" + content), rejected) == [("1", "x")]


def test_a_query_knows_its_line_its_file_and_its_other_columns(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("q.csv", 'id,text,topic\n1,"two\nlines",a\n2,x,b\n')
    found = list(read_queries(uri, rejected.append))
    assert [(query.line, query.source, query.meta) for query in found] == [
        (2, uri, {"topic": "a"}),
        (4, uri, {"topic": "b"}),
    ]
    assert found[0].text == "two\nlines"


def test_an_underscore_id_comes_before_an_id(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("q.jsonl", '{"id": "b", "_id": "a", "text": "x"}\n{"id": "c", "text": "y"}\n')
    assert ids_and_texts(uri, rejected) == [("a", "x")]
    assert [(row.line, row.reason, row.detail) for row in rejected] == [
        (2, Reason.MALFORMED, "_id is missing, and a string or a whole number is wanted")
    ]


def test_the_columns_asked_for_are_read_and_the_usual_ones_are_kept_aside(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write("d.jsonl", '{"_id": "x", "key": 7, "head": "t", "body": "b", "text": "no"}\n')
    found = documents(uri, rejected, doc_id_column="key", title_column="head", text_column="body")
    assert found == [(1, Document("7", "b", "t", {"_id": "x", "text": "no"}))]


def test_whole_numbers_become_their_decimal_string_and_no_other_number_is_an_id(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write(
        "q.jsonl",
        '{"_id": 7, "text": "a"}\n{"_id": 7.0, "text": "b"}\n{"_id": true, "text": "c"}\n{"_id": "", "text": "d"}\n'
        '{"_id": "007", "text": "e"}\n',
    )
    assert ids_and_texts(uri, rejected) == [("7", "a"), ("007", "e")]
    assert [(row.line, row.detail) for row in rejected] == [
        (2, "_id is 7.0, and an id is a string or a whole number"),
        (3, "_id is true or false, and a string or a whole number is wanted"),
        (4, "_id is empty"),
    ]


def test_an_empty_text_is_for_the_job_to_judge_but_no_text_is_rejected(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    uri = write(
        "d.jsonl",
        '{"_id": "1", "text": ""}\n{"_id": "2"}\n{"_id": "3", "text": null}\n{"_id": "4", "text": ["x"]}\n'
        '{"_id": "5", "text": "x", "title": 5}\n{"text": "x"}\n{"_id": "7", "text": "x", "title": null}\n',
    )
    assert documents(uri, rejected) == [(1, Document("1", "")), (7, Document("7", "x"))]
    assert rejected == [
        Rejected(uri, 2, "2", Reason.MALFORMED, "text is missing, and a string is wanted"),
        Rejected(uri, 3, "3", Reason.MALFORMED, "text is null, and a string is wanted"),
        Rejected(uri, 4, "4", Reason.MALFORMED, "text is a list, and a string is wanted"),
        Rejected(uri, 5, "5", Reason.MALFORMED, "title is a whole number, and a string is wanted"),
        Rejected(uri, 6, None, Reason.MALFORMED, "_id is missing, and a string or a whole number is wanted"),
    ]


def test_beir_metadata_is_kept_under_its_name(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("corpus.jsonl", '{"_id": "1", "title": "", "text": "x", "metadata": {"url": "u"}, "year": 1999}\n')
    assert documents(uri, rejected) == [(1, Document("1", "x", "", {"metadata": {"url": "u"}, "year": 1999}))]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('1\ta "quoted\n2\tb"\n', [Document("1", 'a "quoted'), Document("2", 'b"')]),
        ("1\tTitle\tText\n2\t\tx\n", [Document("1", "Text", "Title"), Document("2", "x", "")]),
        ("text\tid\tlang\nx\t1\tko\n", [Document("1", "x", None, {"lang": "ko"})]),
        ("1\t\n", [Document("1", "")]),
    ],
)
def test_tsv_is_split_at_tabs_with_or_without_a_header(
    write: WriteFile, rejected: list[Rejected], content: str, expected: list[Document]
) -> None:
    assert [document for _, document in documents(write("d.tsv", content), rejected)] == expected
    assert rejected == []


def test_a_row_with_too_many_or_too_few_columns_is_rejected(write: WriteFile, rejected: list[Rejected]) -> None:
    tsv = write("q.tsv", "1\ta\n2\n3\tb\tc\n4\td\n")
    csv = write("q.csv", "id,text\n1,a\n2\n3,b,c\n4,d\n")
    assert ids_and_texts(tsv, rejected) == ids_and_texts(csv, rejected) == [("1", "a"), ("4", "d")]
    assert [(row.source, row.line, row.detail) for row in rejected] == [
        (tsv, 2, "1 columns, and 2 are wanted (_id, text)"),
        (tsv, 3, "3 columns, and 2 are wanted (_id, text)"),
        (csv, 3, "1 columns, and 2 are wanted (id, text)"),
        (csv, 4, "3 columns, and 2 are wanted (id, text)"),
    ]


def test_a_tsv_without_header_and_of_no_known_shape_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match=r"q\.tsv has no header .* should be _id, text, and line 1 has 4 columns"):
        ids_and_texts(write("q.tsv", "1\ta\tb\tc\n"), rejected)


@pytest.mark.parametrize("name", ["d.jsonl", "d.csv", "d.tsv"])
def test_a_missing_column_is_named_with_those_there_are_and_the_flag(
    write: WriteFile, rejected: list[Rejected], name: str
) -> None:
    content = {"d.jsonl": '{"_id": "1", "body": "x"}', "d.csv": "_id,body\n1,x", "d.tsv": "_id\tbody\n1\tx"}[name]
    uri = write(name, content)
    with pytest.raises(InputError) as error:
        documents(uri, rejected)
    assert str(error.value) == (
        f"{uri} has no column text or contents or passage for the document text; it has _id, body; "
        f"name the right one with --text-column"
    )


@pytest.mark.parametrize(
    ("asked", "flag"),
    [
        ({"doc_id_column": "pid"}, "--doc-id-column"),
        ({"title_column": "head"}, "--title-column"),
        ({"text_column": "body"}, "--text-column"),
    ],
)
def test_a_column_that_was_asked_for_has_to_be_there(
    write: WriteFile, rejected: list[Rejected], asked: dict[str, str], flag: str
) -> None:
    for name, content in (("d.csv", "_id,text\n1,x\n"), ("d.tsv", "1\tx\n"), ("d.jsonl", '{"_id": 1, "text": "x"}')):
        with pytest.raises(InputError, match=rf"has no column {next(iter(asked.values()))} .*{flag}"):
            documents(write(name, content), rejected, **asked)


def test_a_header_that_names_a_column_twice_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match="has the column 'text' more than once"):
        ids_and_texts(write("q.csv", "id,text,text\n1,a,b\n"), rejected)


def test_csv_holds_quotes_commas_newlines_and_long_fields(write: WriteFile, rejected: list[Rejected]) -> None:
    long = "가" * 200_000  # over the 131,072 that Python's csv module takes by default
    uri = write("d.csv", f'id,text\r\n1,"say ""hi"", then\r\n\r\ngo"\r\n\r\n2,{long}\r\n')
    assert documents(uri, rejected) == [(2, Document("1", 'say "hi", then\r\n\r\ngo')), (6, Document("2", long))]


def test_a_csv_row_that_is_not_utf_8_is_rejected_alone(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("d.csv", b'id,text\n1,a\n2,"b\n\xff"\n3,c\n')
    assert documents(uri, rejected) == [(2, Document("1", "a")), (5, Document("3", "c"))]
    assert rejected == [Rejected(uri, 3, None, Reason.INVALID_UTF8, "not valid UTF-8")]


def test_a_csv_quote_that_is_never_closed_is_noticed(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("d.csv", 'id,text\n1,a\n2,"b\n3,c\n')
    assert documents(uri, rejected) == [(2, Document("1", "a"))]
    assert [(row.line, row.detail) for row in rejected] == [(3, "not CSV: unexpected end of data (lines 3 to 4)")]


def test_a_csv_quote_that_ends_too_early_costs_its_own_row_only(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("d.csv", 'id,text\n1,"a"b\n2,c\n')
    assert documents(uri, rejected) == [(3, Document("2", "c"))]
    assert [(row.line, row.reason) for row in rejected] == [(2, Reason.MALFORMED)]


def test_a_csv_header_that_cannot_be_read_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match="the header cannot be read"):
        documents(write("d.csv", b"id,te\xfft\n1,a\n"), rejected)


def test_parquet_rows_are_counted_from_1_and_other_columns_become_json(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    uri = str(tmp_path / "d.parquet")
    table = {
        "_id": pa.array([1, 2], pa.int64()),
        "text": pa.array(["x", None], pa.large_string()),
        "day": [datetime.date(2026, 1, 2)] * 2,
        "weight": [float("nan")] * 2,
        "tags": [["a"], []],
    }
    pq.write_table(pa.table(table), uri)
    expected = Document("1", "x", None, {"day": "2026-01-02", "weight": None, "tags": ["a"]})
    assert documents(uri, rejected) == [(1, expected)]
    assert rejected == [Rejected(uri, 2, "2", Reason.MALFORMED, "text is null, and a string is wanted")]


def test_parquet_ids_that_are_floats_are_refused_row_by_row(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "q.parquet")
    pq.write_table(pa.table({"id": [1.0, 2.0], "text": ["a", "b"]}), uri)
    assert ids_and_texts(uri, rejected) == []
    assert [row.line for row in rejected] == [1, 2]


def test_parquet_text_that_is_not_utf_8_is_rejected_alone(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "q.parquet")
    broken = pa.array([b"a", b"\xff", b"c"], pa.binary()).cast(pa.string(), safe=False)
    pq.write_table(pa.table({"id": ["1", "2", "3"], "text": broken}), uri)
    assert ids_and_texts(uri, rejected) == [("1", "a"), ("3", "c")]
    assert [(row.line, row.reason) for row in rejected] == [(2, Reason.INVALID_UTF8)]


def test_what_is_not_parquet_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    for content in ("", "hello there, this is text"):
        with pytest.raises(InputError, match="is not a Parquet file"):
            ids_and_texts(write("q.parquet", content), rejected)


@pytest.mark.parametrize("name", ["q.jsonl", "q.tsv", "q.csv"])
def test_an_empty_file_has_no_queries(write: WriteFile, rejected: list[Rejected], name: str) -> None:
    assert ids_and_texts(write(name, ""), rejected) == []
    assert rejected == []


def test_every_malformed_line_is_rejected_and_nothing_else_is_lost(write: WriteFile, rejected: list[Rejected]) -> None:
    lines = [b'{"_id": "%d", "text": "t"}' % number for number in range(1, 401)]
    lines[9], lines[199], lines[399] = b"{", b"\xff", b"[]"
    uri = write("q.jsonl", b"\n".join(lines))
    found = ids_and_texts(uri, rejected)
    assert len(found) + len(rejected) == 400
    assert [(row.source, row.line) for row in rejected] == [(uri, 10), (uri, 200), (uri, 400)]


def test_a_folder_stands_for_its_files_in_order_without_hidden_ones(write: WriteFile, rejected: list[Rejected]) -> None:
    for name, content in (("b.tsv", "2\tb"), ("a.tsv.gz", "1\ta"), ("_m.tsv", "x\tx"), (".h.tsv", "y\ty")):
        write(f"folder/{name}", content)
    folder = str(Path(write("folder/README.md", "about")).parent)
    assert ids_and_texts(folder, rejected) == [("1", "a"), ("2", "b")]


def test_a_beir_folder_stands_for_its_queries_and_its_corpus(write: WriteFile, rejected: list[Rejected]) -> None:
    write("beir/queries.jsonl.gz", '{"_id": "q1", "text": "a"}')
    write("beir/qrels.tsv", "query-id\tcorpus-id\tscore\n")
    folder = str(Path(write("beir/corpus.jsonl", '{"_id": "d1", "title": "t", "text": "b"}')).parent)
    assert ids_and_texts(folder, rejected) == [("q1", "a")]
    assert documents(folder, rejected) == [(1, Document("d1", "b", "t"))]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["_x.tsv"], "is a folder without files"),
        (["notes.md"], "holds no queries.jsonl and no"),
        (["a.tsv", "b.csv"], r"holds \.tsv and \.csv files and no queries.jsonl"),
    ],
)
def test_a_folder_without_queries_or_with_two_kinds_is_refused(
    write: WriteFile, rejected: list[Rejected], names: list[str], message: str
) -> None:
    for name in names:
        folder = str(Path(write(f"folder/{name}", "1\tx")).parent)
    with pytest.raises(InputError, match=message):
        ids_and_texts(folder, rejected)


def test_a_path_that_is_not_there_or_of_no_known_kind_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match=r"/nowhere\.tsv does not exist"):
        ids_and_texts("/nowhere.tsv", rejected)
    with pytest.raises(InputError, match="is of no kind that is read here"):
        ids_and_texts(write("q.docx", "x"), rejected)


def late_titles(count: int = 200) -> str:
    """Passages of which only the last has a title."""
    rows = [json.dumps({"_id": str(place), "text": "x"}) for place in range(count)]
    return "\n".join([*rows, json.dumps({"_id": "last", "title": "Here", "text": "x"})])


@pytest.mark.parametrize("name", ["d.jsonl", "d.jsonl.gz", "d.ndjson"])
def test_a_title_that_first_comes_after_many_passages_without_one_is_read(
    write: WriteFile, rejected: list[Rejected], name: str
) -> None:
    [*others, (line, last)] = documents(write(name, late_titles()), rejected)
    assert (line, last) == (201, Document("last", "x", "Here"))
    assert last.meta == {}, "the title is not one of the other columns"
    assert {document.title for _, document in others} == {None}


def test_a_title_column_asked_for_may_come_late_too(write: WriteFile, rejected: list[Rejected]) -> None:
    uri = write("d.jsonl", late_titles().replace("title", "headline"))
    [*_, (_, last)] = documents(uri, rejected, title_column="headline")
    assert last == Document("last", "x", "Here")


def test_a_title_column_asked_for_that_no_row_has_is_refused(write: WriteFile, rejected: list[Rejected]) -> None:
    with pytest.raises(InputError, match=r"no column head for the title; it has _id, text, title; .*--title-column"):
        documents(write("d.jsonl", late_titles()), rejected, title_column="head")


@pytest.mark.parametrize(
    ("header", "read"),
    [
        ("qid\tquestion", ids_and_texts),
        ("query-id\tQuestion", ids_and_texts),
        ("pid\tcontent", documents),
        ("docid\theading\tbody", documents),
    ],
)
def test_a_tsv_header_of_other_names_is_not_taken_for_a_row(
    write: WriteFile, rejected: list[Rejected], header: str, read: Callable[..., Any]
) -> None:
    uri = write("x.tsv", f"{header}\n" + "\t".join("1" * len(header.split("\t"))) + "\n")
    with pytest.raises(InputError, match=r"has no column .*; it has .*; name the right one with --"):
        read(uri, rejected)


def test_a_tsv_row_of_which_only_one_cell_could_name_a_column_is_a_row(
    write: WriteFile, rejected: list[Rejected]
) -> None:
    assert ids_and_texts(write("q.tsv", "7\tquestion\n8\tcontent\n"), rejected) == [("7", "question"), ("8", "content")]


@pytest.mark.parametrize("identifier", ["007", "1e5", "9007199254740993", "2026-11-30", "true", "NaN", "null", "1.0"])
@pytest.mark.parametrize(
    ("name", "row"), [("q.tsv", "{}\tx\n"), ("q.csv", "id,text\n{},x\n"), ("q.jsonl", '{{"id": "{}", "text": "x"}}')]
)
def test_an_id_that_looks_like_something_else_stays_as_it_is_written(
    write: WriteFile, rejected: list[Rejected], identifier: str, name: str, row: str
) -> None:
    assert ids_and_texts(write(name, row.format(identifier)), rejected) == [(identifier, "x")]
