"""`rerank_dataset` as a stage of somebody else's Ray Data pipeline."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest

from crossrank import Reranker, rerank_dataset
from crossrank.errors import ModelRefused

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


def test_a_missing_column_or_one_in_the_way_is_named(tiny_model: str) -> None:
    rows = [{"number": 0, "question": QUERIES[0], "docs": DOCUMENTS}]
    with pytest.raises(Exception, match="the dataset has no column query, it has number, question, docs; name it with"):
        rerank_dataset(ray.data.from_items(rows), model=tiny_model).take_all()
    taken = [{"query": QUERIES[0], "docs": DOCUMENTS, "status": "new"}]
    with pytest.raises(Exception, match="the dataset has a column status already, which the ranking adds; rename it"):
        rerank_dataset(ray.data.from_items(taken), model=tiny_model).take_all()


def test_a_model_that_cannot_score_is_refused_before_anything_runs(tmp_path: Any) -> None:
    with pytest.raises(ModelRefused):
        rerank_dataset(ray.data.range(3), model=str(tmp_path))
