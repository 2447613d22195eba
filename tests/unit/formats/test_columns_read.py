"""Of a Parquet file no more is decoded than is read: counted in bytes, not in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.formats import parquet
from crossrank.formats.group_files import read_group_files
from crossrank.formats.groups_parquet import GROUP_SCHEMA
from crossrank.formats.parquet import parquet_rows
from crossrank.formats.tables import read_documents
from crossrank.records import Candidate, Document, Group, Rejected

VECTORS = pa.array([[float(place)] * 64 for place in range(20)], pa.list_(pa.float32(), 64))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Callable[[], set[str]]:
    """The names of the columns, and fields as ``column.field``, of every batch that was decoded so far."""
    names: set[str] = set()
    opened = parquet._opened

    class Watched:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def iter_batches(self, *args: Any, **options: Any) -> Iterator[pa.RecordBatch]:
            for batch in self._file.iter_batches(*args, **options):
                for field in batch.schema:
                    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
                    fields = [f"{field.name}.{each.name}" for each in kind] if pa.types.is_struct(kind) else []
                    names.update(fields or [field.name])
                yield batch

    monkeypatch.setattr(parquet, "_opened", lambda file, uri: Watched(opened(file, uri)))
    return lambda: names


def test_vectors_beside_the_passages_are_not_read_to_rerank_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Callable[[], set[str]]
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    uri = str(tmp_path / "corpus.parquet")
    ids = [str(place) for place in range(20)]
    table = {"vector": VECTORS, "_id": ids, "title": ["A"] * 20, "text": ["b"] * 20, "contents": ["c"] * 20}
    pq.write_table(pa.table(table), uri)
    store = CorpusSource(uri, CorpusSource.fingerprint_of(uri)).open()
    assert len(store) == 20
    assert store.texts([3]) == ["A b"]
    assert decoded() == {"_id", "title", "text"}


def test_vectors_beside_the_queries_are_not_read_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: Callable[[], set[str]]
) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    uri = str(tmp_path / "queries.parquet")
    table = {"vector": VECTORS, "qid": range(20), "text": ["b"] * 20}
    pq.write_table(pa.table(table), uri)
    store = QuerySource(uri, QuerySource.fingerprint_of(uri), query_id_column="qid").open()
    assert len(store) == 20
    assert decoded() == {"qid", "text"}


def group_table() -> pa.Table:
    """Groups as another program may write them: with columns, and fields of documents, that are not of a group."""
    document = pa.struct([("vector", pa.list_(pa.float32())), ("doc_id", pa.string()), ("text", pa.string())])
    docs = [[{"vector": [0.5] * 64, "doc_id": f"d{place}", "text": "yes"}] for place in range(20)]
    columns = {"query_id": range(20), "query": ["q"] * 20, "query_vector": VECTORS}
    return pa.table({**columns, "docs": pa.array(docs, pa.list_(document))})


def test_vectors_of_queries_and_of_documents_in_groups_are_not_read(
    tmp_path: Path, rejected: list[Rejected], decoded: Callable[[], set[str]]
) -> None:
    uri = str(tmp_path / "groups.parquet")
    pq.write_table(group_table(), uri)
    groups = [group for _, _, group in read_group_files(uri, rejected.append)]
    assert groups[7] == Group("7", "q", (Candidate("d7", "yes"),))
    assert (len(groups), rejected) == (20, [])
    assert decoded() == {"query_id", "query", "docs.doc_id", "docs.text"}


@pytest.mark.parametrize("compliant", [True, False], ids=["list.element", "list.item"])
def test_fields_are_found_however_the_writer_names_the_items_of_a_list(
    tmp_path: Path, rejected: list[Rejected], decoded: Callable[[], set[str]], compliant: bool
) -> None:
    uri = str(tmp_path / "groups.parquet")
    pq.write_table(group_table(), uri, use_compliant_nested_type=compliant)
    assert len(list(read_group_files(uri, rejected.append))) == 20
    assert "docs.vector" not in decoded()


def test_a_column_of_no_known_field_is_read_whole_so_that_its_rows_say_what_is_missing(
    tmp_path: Path, rejected: list[Rejected]
) -> None:
    uri = str(tmp_path / "groups.parquet")
    docs = pa.array([[{"passage": "p"}]], pa.list_(pa.struct([("passage", pa.string())])))
    pq.write_table(pa.table({"query_id": ["1"], "query": ["q"], "docs": docs}), uri)
    assert list(read_group_files(uri, rejected.append)) == []
    assert [row.detail for row in rejected] == ["docs[0].doc_id is missing, and a string or a whole number is wanted"]


def test_our_own_groups_come_back_whole(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "groups.parquet")
    doc = {"doc_id": "d", "title": "t", "text": "x", "label": 1.0, "rank": 2, "score": 0.5, "teacher_score": 0.25}
    doc |= {"source": "bm25", "flags": ["empty"], "meta": '{"a": 1}'}
    row = {"query_id": "1", "query": "q", "lang": "ko", "split": "test", "meta": '{"b": 2}', "docs": [doc]}
    pq.write_table(pa.Table.from_pylist([row], GROUP_SCHEMA), uri)
    [(_, _, group)] = read_group_files(uri, rejected.append)
    candidate = Candidate("d", "x", "t", 1.0, 2, 0.5, 0.25, "bm25", ("empty",), {"a": 1})
    assert group == Group("1", "q", (candidate,), "ko", "test", {"b": 2})


def test_what_rides_in_meta_is_still_read_where_it_is_kept(tmp_path: Path, rejected: list[Rejected]) -> None:
    uri = str(tmp_path / "corpus.parquet")
    pq.write_table(pa.table({"_id": ["1"], "text": ["x"], "url": ["u"]}), uri)
    assert list(read_documents(uri, rejected.append)) == [(1, Document("1", "x", None, {"url": "u"}))]
    assert list(read_documents(uri, rejected.append, with_meta=False)) == [(1, Document("1", "x", None))]


def test_fields_of_maps_and_of_nested_objects_are_told_apart(tmp_path: Path, rejected: list[Rejected]) -> None:
    inner = pa.struct([("deep", pa.struct([("a", pa.int64()), ("b", pa.int64())])), ("text", pa.string())])
    kind = pa.list_(pa.struct([("tags", pa.map_(pa.string(), pa.int64())), ("inner", inner), ("text", pa.string())]))
    value = {"tags": [("k", 1)], "inner": {"deep": {"a": 1, "b": 2}, "text": "not this"}, "text": "this"}
    uri = str(tmp_path / "any.parquet")
    pq.write_table(pa.table({"docs": pa.array([[value]], kind), "after": [5]}), uri)
    wanted = {"docs": {"text"}, "after": None}
    assert list(parquet_rows(uri, rejected.append, wanted)) == [(1, {"docs": [{"text": "this"}], "after": 5})]
