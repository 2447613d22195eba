"""`rerank_dataset` as a stage of somebody else's Ray Data pipeline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crossrank import Reranker, rerank_dataset
from crossrank.errors import InputError, ModelRefused, SettingsError

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.usefixtures("cluster")

DOCUMENTS = [
    "Charging takes about 4.5 hours; the light turns green when the battery is full.",
    "The warranty covers two years from the date on the receipt, batteries excepted.",
    "Clean the filter once a week and replace the brush every six months.",
]
QUERIES = ["How long does it take to charge the battery?", "Why does the robot stop and beep three times?"]


def ranked(dataset: Any, **options: Any) -> list[dict[str, Any]]:
    """Rows of the reranked dataset, by their number."""
    return sorted(rerank_dataset(dataset, **options).take_all(), key=lambda row: row["number"])


def expected(model: str, query: str, documents: list[str]) -> list[tuple[int, float]]:
    """Index and logit, best first, from a plain loop."""
    scores = Reranker.load(model, device="cpu").score([(query, document) for document in documents]).tolist()
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


def ranking_of(row: dict[str, Any]) -> list[tuple[int, Any]]:
    return [(each["index"], pytest.approx(each["score"], abs=1e-5)) for each in row["ranking"]]


def test_a_batch_at_a_time_with_all_other_columns(tiny_model: str) -> None:
    rows: list[dict[str, Any]] = [
        {"number": n, "question": QUERIES[n % 2], "passages": DOCUMENTS, "source": {"file": f"f{n}"}} for n in range(12)
    ]
    dataset = ray.data.from_items(rows, override_num_blocks=3)
    columns = {"query_column": "question", "documents_column": "passages"}
    result = ranked(dataset, model=tiny_model, batch_queries=5, **columns)

    assert [row["number"] for row in result] == list(range(12))
    for row, before in zip(result, rows, strict=True):
        assert ranking_of(row) == expected(tiny_model, before["question"], DOCUMENTS)
        assert {name: row[name] for name in before} == before
        assert (row["status"], row["reason"]) == ("ok", None)


def test_a_document_may_be_a_struct_with_a_title(tiny_model: str) -> None:
    documents = [{"title": "Battery", "text": DOCUMENTS[1]}, {"title": None, "text": DOCUMENTS[1]}]
    [row] = ranked(ray.data.from_items([{"number": 0, "query": QUERIES[0], "docs": documents}]), model=tiny_model)
    texts = [f"Battery {DOCUMENTS[1]}", DOCUMENTS[1]]
    assert ranking_of(row) == expected(tiny_model, QUERIES[0], texts)


def test_what_has_no_text_is_in_no_ranking_and_says_why(tiny_model: str) -> None:
    rows = [
        {"number": 0, "query": QUERIES[0], "docs": ["", DOCUMENTS[0], "  ", DOCUMENTS[1], None]},
        {"number": 1, "query": QUERIES[0], "docs": [" "]},
        {"number": 2, "query": QUERIES[0], "docs": []},
        {"number": 3, "query": "  ", "docs": DOCUMENTS},
        {"number": 4, "query": None, "docs": None},
    ]
    schema = pa.schema({"number": pa.int64(), "query": pa.string(), "docs": pa.list_(pa.string())})
    result = ranked(ray.data.from_arrow(pa.Table.from_pylist(rows, schema=schema)), model=tiny_model)

    assert sorted(each["index"] for each in result[0]["ranking"]) == [1, 3]
    assert [list(row["without_text"]) for row in result] == [[0, 2, 4], [0], [], [], []]
    assert [(row["status"], row["reason"], list(row["ranking"])) for row in result[1:]] == [
        ("rejected", "no_candidates", []),
        ("rejected", "no_candidates", []),
        ("rejected", "empty_query", []),
        ("rejected", "empty_query", []),
    ]


def test_softmax_runs_over_all_documents_of_a_query_and_top_n_cuts_after_it(tiny_model: str) -> None:
    rows = [{"number": n, "query": query, "docs": DOCUMENTS} for n, query in enumerate(QUERIES)]
    result = ranked(ray.data.from_items(rows), model=tiny_model, normalize="softmax", top_n=2)
    for row in result:
        logits = expected(tiny_model, row["query"], DOCUMENTS)
        total = sum(math.exp(logit) for _, logit in logits)
        assert ranking_of(row) == [(index, math.exp(logit) / total) for index, logit in logits[:2]]


def test_it_stands_in_the_middle_of_a_pipeline(tiny_model: str) -> None:
    source = ray.data.range(6).map(lambda row: {"number": row["id"], "query": QUERIES[0], "docs": DOCUMENTS})
    best = rerank_dataset(source, model=tiny_model, workers=(1, 2)).map(
        lambda row: {"number": row["number"], "best": row["docs"][row["ranking"][0]["index"]]}
    )
    [(first, _), *_] = expected(tiny_model, QUERIES[0], DOCUMENTS)
    assert sorted((row["number"], row["best"]) for row in best.take_all()) == [(n, DOCUMENTS[first]) for n in range(6)]
    assert rerank_dataset(source.filter(lambda row: False), model=tiny_model).take_all() == []


FORMATS = ["default", "numpy", "pandas", "pyarrow"]


def same(batch: Any) -> Any:
    return batch


@pytest.mark.parametrize("documents", ["texts", "as many in each row", "structs"])
@pytest.mark.parametrize("batch_format", FORMATS)
def test_batches_of_every_format_before_and_after_it_are_taken(
    batch_format: str, documents: str, tiny_model: str
) -> None:
    rows: list[dict[str, Any]] = []
    for number in range(4):
        texts: list[Any] = DOCUMENTS[: 3 if documents == "as many in each row" else 1 + number % 3]
        docs = [{"text": text, "title": None} for text in texts] if documents == "structs" else texts
        rows.append({"number": number, "query": QUERIES[number % 2], "docs": docs})
    source = ray.data.from_items(rows, override_num_blocks=2).map_batches(same, batch_format=batch_format)
    found = rerank_dataset(source, model=tiny_model).map_batches(same, batch_format=batch_format).take_all()
    for row in sorted(found, key=lambda each: each["number"]):
        texts = [doc["text"] if documents == "structs" else doc for doc in rows[row["number"]]["docs"]]
        assert ranking_of(row) == expected(tiny_model, QUERIES[row["number"] % 2], texts)


def test_documents_that_are_numpy_arrays_of_strings_are_taken(tiny_model: str) -> None:
    def made(batch: dict[str, Any]) -> dict[str, Any]:
        count = len(batch["id"])
        return {"query": np.array([QUERIES[0]] * count), "docs": np.array([DOCUMENTS] * count)}

    [row] = rerank_dataset(ray.data.range(1).map_batches(made), model=tiny_model).take_all()
    assert ranking_of(row) == expected(tiny_model, QUERIES[0], DOCUMENTS)


def test_rows_keep_their_order_where_ray_is_told_to(tiny_model: str) -> None:
    options = ray.data.DataContext.get_current().execution_options
    options.preserve_order = True
    try:
        rows = [{"number": n, "query": QUERIES[0], "docs": DOCUMENTS * (1 + 7 * (n % 5 == 0))} for n in range(20)]
        dataset = ray.data.from_items(rows, override_num_blocks=10)
        found = rerank_dataset(dataset, model=tiny_model, workers=2, batch_queries=2).take_all()
    finally:
        options.preserve_order = False
    assert [row["number"] for row in found] == list(range(20))


# what is refused


@pytest.mark.parametrize(
    ("docs", "sentence"),
    [
        ("one text", "the column docs holds string, and each row has a list of documents"),
        ([1, 2], "the column docs holds lists of int64, and a document is a text"),
        ([{"body": "a"}], "the column docs holds lists of struct<body: string>, and a document is a text"),
    ],
    ids=repr,
)
def test_a_column_that_holds_no_documents_is_refused_before_anything_runs(
    docs: Any, sentence: str, tiny_model: str
) -> None:
    table = pa.table({"query": [QUERIES[0]], "docs": [docs]})
    with pytest.raises(InputError, match=f"^{sentence}"):
        rerank_dataset(ray.data.from_arrow(table), model=tiny_model)


def test_a_value_that_is_no_document_is_refused_by_its_row_whatever_made_it(tiny_model: str) -> None:
    def spoilt(batch: dict[str, Any]) -> dict[str, Any]:
        return {"query": batch["query"], "docs": [["a"], ["a", 3]]}

    source = ray.data.from_items([{"query": QUERIES[0], "docs": ["a"]}] * 2, override_num_blocks=1)
    sentence = r"document 1 of docs in row 1 of its batch \(query 'How long .*'\) is 3; a document is a text"
    with pytest.raises(ray.exceptions.RayTaskError, match=f"InputError: {sentence}"):
        rerank_dataset(source.map_batches(spoilt), model=tiny_model).take_all()


def test_a_missing_column_or_one_in_the_way_is_named(tiny_model: str) -> None:
    rows = [{"number": 0, "question": QUERIES[0], "docs": DOCUMENTS}]
    with pytest.raises(InputError, match="the dataset has no column query, it has number, question, docs; name it"):
        rerank_dataset(ray.data.from_items(rows), model=tiny_model).take_all()
    for name in ("status", "without_text"):
        taken = [{"query": QUERIES[0], "docs": DOCUMENTS, name: "new"}]
        with pytest.raises(InputError, match=f"the dataset has a column {name} already, which the ranking adds"):
            rerank_dataset(ray.data.from_items(taken), model=tiny_model).take_all()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"top_n": -1}, "top_n is -1; use at least 1, or 0 to keep all"),
        ({"top_n": "3"}, "top_n is '3'; use at least 1, or 0 to keep all"),
        ({"batch_queries": 0}, "batch_queries is 0; use at least 1"),
        ({"workers": 0}, "workers is 0; use at least 1, or the least and the most"),
        ({"workers": (3, 1)}, r"workers is \(3, 1\); use at least 1, or the least and the most"),
        ({"normalize": "minmax"}, "normalize is 'minmax'; use none, sigmoid or softmax"),
        ({"top_k": 3}, "rerank_dataset has no argument top_k; write top_n"),
        ({"text_column": "a"}, "rerank_dataset has no argument text_column; write query_column"),
    ],
    ids=repr,
)
def test_a_setting_that_cannot_be_is_refused_before_anything_runs(
    settings: dict[str, Any], sentence: str, tiny_model: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        rerank_dataset(ray.data.range(3), model=tiny_model, **settings)


def test_what_is_no_dataset_is_refused_with_how_to_make_one(tiny_model: str) -> None:
    with pytest.raises(InputError, match=r"ds is a list, and not a ray.data.Dataset; make one by ray.data.from_items"):
        rerank_dataset([{"query": "a", "docs": ["b"]}], model=tiny_model)


def test_the_model_may_be_a_path(tiny_model: str) -> None:
    [row] = ranked(ray.data.from_items([{"number": 0, "query": QUERIES[0], "docs": DOCUMENTS}]), model=Path(tiny_model))
    assert ranking_of(row) == expected(tiny_model, QUERIES[0], DOCUMENTS)


def test_a_model_that_cannot_score_is_refused_before_anything_runs(tmp_path: Any) -> None:
    with pytest.raises(ModelRefused):
        rerank_dataset(ray.data.range(3), model=str(tmp_path))
