"""The rerank stage on batches as Ray Data hands them out, by a scorer that counts shared words."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crossrank.errors import InputError
from crossrank.reranking.block import Keep
from crossrank.reranking.stage import RerankBatch, check_types
from tests.unit.stand_ins import OverlapSpec

QUERY = "red big cat"
TEXTS = ["a dog", "the red big cat", "a red hen"]
"""They score 0, 3 and 1."""


def batch_of(documents: Any, query: Any = QUERY) -> pa.Table:
    """One row, or as many as there are queries."""
    queries = query if isinstance(query, pa.Array) else pa.array([query])
    return pa.table({"query": queries, "docs": documents if isinstance(documents, pa.Array) else pa.array([documents])})


def ranked(batch: pa.Table, top_n: int = 0) -> list[dict[str, Any]]:
    stage = RerankBatch(OverlapSpec(max_length=8), Keep(top_n, "none", with_text=False), "query", "docs", None)
    found: list[dict[str, Any]] = stage(batch).to_pylist()
    return found


def order(row: dict[str, Any]) -> list[tuple[int, float]]:
    return [(each["index"], each["score"]) for each in row["ranking"]]


class PythonObject(pa.ExtensionScalar):
    """A pickled value."""

    def as_py(self, **_: Any) -> Any:
        return pickle.loads(self.value.as_py())


class PythonObjectType(pa.ExtensionType):
    """As Ray Data's own type for what comes out of numpy: a column of any Python values."""

    def __init__(self) -> None:
        super().__init__(pa.binary(), "tests.python_object")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> PythonObjectType:
        return cls()

    def __arrow_ext_scalar_class__(self) -> type:
        return PythonObject


def objects(*values: Any) -> pa.Array:
    return pa.ExtensionArray.from_storage(PythonObjectType(), pa.array([pickle.dumps(value) for value in values]))


# what is taken


@pytest.mark.parametrize(
    "type_",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 3),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
        pa.list_view(pa.string()),
        pa.large_list_view(pa.string()),
    ],
    ids=str,
)
def test_lists_of_texts_of_any_arrow_type_are_ranked(type_: pa.DataType) -> None:
    [row] = ranked(batch_of(pa.array([TEXTS], type_)))
    assert order(row) == [(1, 3.0), (2, 1.0), (0, 0.0)]
    assert (row["status"], row["reason"], row["without_text"]) == ("ok", None, [])


@pytest.mark.parametrize(
    "documents",
    [np.array(TEXTS), np.array(TEXTS, dtype=object), tuple(TEXTS), [np.str_(text) for text in TEXTS]],
    ids=lambda documents: type(documents).__name__,
)
def test_what_comes_out_of_numpy_is_ranked(documents: Any) -> None:
    [row] = ranked(batch_of(objects(documents)))
    assert order(row) == [(1, 3.0), (2, 1.0), (0, 0.0)]


def test_structs_with_a_title_are_read_with_it() -> None:
    documents = [{"title": "red", "text": "big cat", "id": "a", "doc_id": "b"}, {"title": None, "text": "red"}]
    [row] = ranked(batch_of(documents))
    assert order(row) == [(0, 3.0), (1, 1.0)]


def test_nulls_and_what_has_no_text_are_in_no_ranking_and_named() -> None:
    [row] = ranked(batch_of([None, TEXTS[1], "", "  ", TEXTS[2]]))
    assert order(row) == [(1, 3.0), (4, 1.0)]
    assert row["without_text"] == [0, 2, 3]
    structs = [None, {"title": None, "text": None}, {"title": "red", "text": None}, {"title": None, "text": " "}]
    [row] = ranked(batch_of(pa.array([structs], pa.list_(pa.struct({"title": pa.string(), "text": pa.string()})))))
    assert order(row) == [(2, 1.0)]
    assert row["without_text"] == [0, 1, 3]


@pytest.mark.parametrize("missing", [None, math.nan], ids=repr)
def test_missing_values_of_pandas_are_as_null(missing: Any) -> None:
    documents = [[missing, TEXTS[1], {"text": "red", "title": missing}, {"text": missing}], missing]
    first, second = ranked(batch_of(objects(*documents), pa.array([QUERY, QUERY])))
    assert (order(first), first["without_text"]) == ([(1, 3.0), (2, 1.0)], [0, 3])
    assert (second["status"], second["reason"], second["ranking"]) == ("rejected", "no_candidates", [])


def test_a_query_without_text_is_rejected_and_its_documents_looked_at_all_the_same() -> None:
    [row] = ranked(batch_of(["red", None], pa.array([None], pa.string())))
    assert (row["status"], row["reason"], row["ranking"]) == ("rejected", "empty_query", [])
    assert row["without_text"] == [1]


def test_what_was_cut_is_with_each_document() -> None:
    # A window of 8: the query takes 3 and leaves a document 5.
    [row] = ranked(batch_of(["cat", "one two three four five six seven"]))
    assert [(each["index"], each["truncated_tokens"]) for each in row["ranking"]] == [(0, 0), (1, 2)]


def test_a_batch_without_rows_or_columns_comes_back_with_the_new_columns() -> None:
    assert ranked(pa.table({})) == []


# what is refused, by column, row and type


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        (pa.array(["one text"]), "the column docs holds string, and each row has a list of documents; make it a list"),
        (pa.array([3]), "the column docs holds int64, and each row has a list of documents"),
        (pa.array([b"ab"]), "the column docs holds binary, and each row has a list of documents"),
        (pa.array([{"text": "a"}]), "the column docs holds struct<text: string>, and each row has a list of documents"),
        (pa.array([[1, 2]]), "the column docs holds lists of int64, and a document is a text, or a struct with the "),
        (pa.array([[b"ab"]]), "the column docs holds lists of binary, and a document is a text"),
        (pa.array([[["a"]]]), "the column docs holds lists of list<.*string>, and a document is a text"),
        (pa.array([[{"body": "a"}]]), "the column docs holds lists of struct<body: string>, and a document is a text"),
        (pa.array([[{"text": 1}]]), "the column docs holds lists of struct<text: int64>, and a document is a text"),
        (pa.array([[{"text": "a", "title": 1}]]), "the column docs holds lists of struct<text: string, title: int64>"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_a_column_that_holds_no_lists_of_texts_is_refused_by_its_type(documents: pa.Array, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        ranked(batch_of(documents))


@pytest.mark.parametrize(
    ("query", "type_"), [(3, "int64"), (b"ab", "binary"), (["a"], "list<.*string>"), ({"text": "a"}, "struct<.*>")]
)
def test_a_query_column_that_holds_no_texts_is_refused_by_its_type(query: Any, type_: str) -> None:
    with pytest.raises(InputError, match=f"^the column query holds {type_}, and a query is one text; name another"):
        ranked(batch_of(TEXTS, query))


@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        ("one text", "docs in row 1 of its batch (query 'red big cat') is one text, 'one text'; pass a list of texts"),
        ({"text": "a"}, "docs in row 1 of its batch (query 'red big cat') is a dictionary"),
        (3, "docs in row 1 of its batch (query 'red big cat') is 3; pass a list of texts"),
        (["a", 3], "document 1 of docs in row 1 of its batch (query 'red big cat') is 3; a document is a text"),
        ([b"a"], "document 0 of docs in row 1 of its batch (query 'red big cat') is b'a'; a document is a text"),
        ([["a"]], "document 0 of docs in row 1 of its batch (query 'red big cat') is ['a']; a document is a text"),
        (np.array([1.5]), "document 0 of docs in row 1 of its batch (query 'red big cat') is np.float64(1.5)"),
        ([{"body": "a"}], "document 0 of docs in row 1 of its batch (query 'red big cat') has the keys body"),
    ],
    ids=repr,
)
def test_a_value_that_is_no_list_of_texts_is_refused_by_its_row(documents: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        ranked(batch_of(objects(TEXTS, documents), pa.array([QUERY, QUERY])))
    assert str(refused.value).startswith(sentence)


def test_columns_of_nulls_alone_may_be_anything() -> None:
    check_types(pa.schema({"query": pa.null(), "docs": pa.null()}), "query", "docs")
    [row] = ranked(pa.table({"query": pa.nulls(1), "docs": pa.nulls(1)}))
    assert row["reason"] == "empty_query"


def test_two_columns_of_one_name_are_refused_and_neither_is_taken() -> None:
    batch = pa.Table.from_arrays(
        [pa.array([QUERY]), pa.array([TEXTS]), pa.array(["other"])], ["query", "docs", "query"]
    )
    with pytest.raises(InputError, match=r"the dataset has 2 columns query; rename all but one of them"):
        ranked(batch)
