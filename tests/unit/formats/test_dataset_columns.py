"""What somebody's columns are taken for, and what of a row becomes which document."""

import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import InputError
from crossrank.formats.dataset_columns import columns_of
from crossrank.formats.dataset_place import Place, place_of
from crossrank.formats.dataset_rows import classes_of, group_of, merged
from crossrank.formats.fields import RowRefused
from crossrank.formats.foreign import text_id
from crossrank.records import Group, Json


def group_from(row: Json, number: int = 1) -> Group:
    return group_of(number, row, columns_of(list(row), "x"), None, None)


def labelled(group: Group) -> list[tuple[str | None, float | None]]:
    return [(doc.text, doc.label) for doc in group.docs]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"query": "q", "pos": ["a", "b"], "neg": ["c"]}, [("a", 1), ("b", 1), ("c", 0)]),
        ({"anchor": "q", "positive": "a", "negative": "c"}, [("a", 1), ("c", 0)]),
        (
            {"anchor": "q", "positive": "a", "negative_10": "t", "negative_2": "c", "negative_1": "b"},
            [("a", 1), ("b", 0), ("c", 0), ("t", 0)],
        ),
        ({"question": "q", "answer": "a"}, [("a", 1)]),
        ({"question": "q", "answer": "short", "context": "the passage"}, [("the passage", 1)]),
        ({"question": "q", "answer": "a", "label": 0}, [("a", 0)]),
        ({"query": "q", "docs": ["a", "b"], "labels": [0, 2]}, [("a", 0), ("b", 2)]),
        ({"query": "q", "document": "a", "relevance": -1}, [("a", None)]),
        ({"query": "q", "positive": "a", "negative": None}, [("a", 1)]),
        ({"query": "q", "positive": "a", "negative": "b", "label": 3.5}, [("a", 1), ("b", 0)]),
    ],
)
def test_columns_are_read_by_their_names(row: Json, expected: list[Any]) -> None:
    assert labelled(group_from(row)) == expected
    assert group_from(row).query == "q"


def test_passages_with_ids_and_titles_keep_them_however_a_list_of_them_is_held() -> None:
    passages = [{"docid": "7", "title": "T", "text": "a"}, {"docid": "8", "title": "", "text": "b"}]
    columns = {key: [passage[key] for passage in passages] for key in ("docid", "title", "text")}
    for held in (passages, columns):
        group = group_from({"query": "q", "positive_passages": held, "negative_passages": []})
        assert [(doc.doc_id, doc.title, doc.text, doc.label) for doc in group.docs] == [
            ("7", "T", "a", 1.0),
            ("8", "", "b", 1.0),
        ]


def test_one_passage_is_one_document_in_every_row_and_equal_queries_stay_two() -> None:
    first = group_from({"query": "q", "pos": ["a"], "neg": ["b"]}, 1)
    second = group_from({"query": "q", "pos": ["b"], "neg": ["a"]}, 2)
    assert first.docs[0].doc_id == second.docs[1].doc_id == text_id("a")
    assert first.query_id != second.query_id
    assert first.query_id == group_from({"query": "q", "pos": ["a"], "neg": ["b"]}, 1).query_id


def test_scores_of_a_teacher_go_to_their_texts_and_other_columns_to_meta() -> None:
    row = {"query": "q", "pos": ["a"], "neg": ["b", "c"], "pos_scores": [3.5], "neg_scores": [1.0, -2.0], "id": 9}
    group = group_from(row | {"when": datetime.date(2026, 11, 25)})
    assert [doc.teacher_score for doc in group.docs] == [3.5, 1.0, -2.0]
    assert group.meta == {"id": 9, "when": "2026-11-25"}
    with pytest.raises(RowRefused, match="neg_scores has 1 numbers, and neg has 2 texts"):
        group_from(row | {"neg_scores": [1.0]})


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["text", "label"], "the columns text, label, and none of them is the query (query, question, anchor)"),
        (["query", "id"], "none of them is what answers the query (pos, positive"),
        (["query", "question", "pos"], "query and question may each be the query; drop or rename one"),
        (["query", "passage", "document"], "passage and document may each be what answers the query"),
        (["query", "pos", "neg", "negatives"], "neg and negatives may each be the negatives"),
        (["question", "answer", "score"], "score may be the label of answer or only a score; rename it to label"),
        (["query", "docs", "labels", "neg"], "docs with labels are the documents, and others are there too"),
    ],
)
def test_columns_of_two_meanings_or_none_are_refused_and_never_guessed(names: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        columns_of(names, "hf://a/b")
    assert str(error.value).startswith("hf://a/b has the columns ")
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"query": 7, "pos": ["a"]}, "query is a whole number, and a string is wanted"),
        ({"query": "q", "pos": [1, 2]}, "pos is a whole number, and a text is wanted"),
        ({"query": "q", "pos": None}, "pos is null, and a text is wanted"),
        ({"query": "q", "docs": ["a"], "labels": [1, 0]}, "labels has 2, and docs has 1 texts"),
        ({"query": "q", "doc": "a", "label": "yes"}, "label is a string, and a number is wanted"),
        ({"query": "q", "doc": "a", "image": b"x"}, "image holds bytes, which meta cannot hold"),
        ({"query": "q", "pos": [{"title": "T"}]}, "pos.text is missing, and a string is wanted"),
    ],
)
def test_a_row_that_is_not_text_where_text_is_wanted_is_refused(row: Json, sentence: str) -> None:
    with pytest.raises(RowRefused) as refused:
        group_from(row)
    assert sentence in refused.value.detail


class Classes:
    def __init__(self, *names: str) -> None:
        self.names = list(names)


def test_classes_that_are_numbers_are_labels_and_those_that_are_words_are_refused() -> None:
    columns = columns_of(["question", "answer", "label"], "x")
    row = {"question": "q", "answer": "a", "label": 1}
    numbers = classes_of({"label": Classes("1", "0")}, columns, "x")
    assert group_of(1, row, columns, numbers, None).docs[0].label == 0.0
    assert group_of(1, row | {"label": -1}, columns, numbers, None).docs[0].label is None
    with pytest.raises(InputError, match="label of the classes relevant, not_relevant, and a label is a number"):
        classes_of({"label": Classes("relevant", "not_relevant")}, columns, "x")
    assert classes_of({"label": object()}, columns, "x") is None


texts = st.text(max_size=6)


@given(texts, st.lists(texts, max_size=4), st.none() | st.lists(texts, max_size=50))
def test_no_text_is_lost_doubled_or_moved(query: str, positives: list[str], negatives: list[str] | None) -> None:
    group = group_from({"query": query, "pos": positives, "neg": negatives})
    assert labelled(group) == [*((text, 1.0) for text in positives), *((text, 0.0) for text in negatives or [])]
    assert [doc.doc_id for doc in group.docs] == [text_id(str(doc.text)) for doc in group.docs]


@given(st.lists(st.tuples(st.sampled_from("abc"), texts, st.sampled_from([0, 1, 2, None])), max_size=12))
def test_pairs_that_stand_together_become_one_group_and_each_pair_is_there_once(pairs: list[Any]) -> None:
    rows = [{"query": query, "doc": doc, "label": label, "n": n} for n, (query, doc, label) in enumerate(pairs)]
    groups = list(merged((line, group_from(row, line)) for line, row in enumerate(rows, start=1)))
    found = [(group.query, doc.text, doc.label, doc.meta["n"]) for _, group in groups for doc in group.docs]
    assert found == [(query, doc, label, n) for n, (query, doc, label) in enumerate(pairs)]
    assert all(one.query != other.query for (_, one), (_, other) in pairwise(groups))
    assert [line for line, _ in groups] == [group.docs[0].meta["n"] + 1 for _, group in groups]


def test_a_place_of_the_hub_is_a_name_and_perhaps_a_config_and_a_split(tmp_path: Path) -> None:
    assert place_of("hf://o/n") == Place("hf://o/n", "o/n", is_hub=True)
    assert place_of("hf://o/n:c/train") == Place("hf://o/n:c/train", "o/n", "c", "train", is_hub=True)
    assert place_of("hf://o/n/train").split == "train"
    for wrong in ("hf://name", "hf://o/n/a/b", "hf://", "s3://bucket/set"):
        with pytest.raises(InputError, match="hf://owner/name"):
            place_of(wrong)

    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.jsonl").write_text("{}")
    folder = str(tmp_path / "set")
    assert place_of(folder) == Place(folder, folder)
    assert place_of(f"{folder}/test") == Place(f"{folder}/test", folder, None, "test")
    assert place_of(f"{folder}:de/test") == Place(f"{folder}:de/test", folder, "de", "test")
    assert place_of(f"{folder}/a.jsonl") == Place(f"{folder}/a.jsonl", f"{folder}/a.jsonl")
    (tmp_path / "set" / "a.xlsx").write_text("PK")
    with pytest.raises(InputError, match=r"a\.xlsx is a file of no kind that is read as a data set; .jsonl, "):
        place_of(f"{folder}/a.xlsx")
