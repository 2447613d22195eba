"""What a caller may pass to `Reranker`, and what is refused, by a scorer whose scores a reader can count.

A document scores the number of distinct words that it shares with the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crossrank import RankedDocument
from crossrank.errors import InputError, SettingsError
from crossrank.scoring.reranker import Reranker
from tests.unit.stand_ins import OverlapScorer

QUERY = "red big cat"
TEXTS = ["a dog", "the red big cat", "a red hen", "big red"]
"""They score 0, 3, 1 and 2."""
BEST_FIRST = [(1, 3.0, TEXTS[1]), (3, 2.0, TEXTS[3]), (2, 1.0, TEXTS[2]), (0, 0.0, TEXTS[0])]


@pytest.fixture
def reranker() -> Reranker:
    return Reranker(OverlapScorer(max_length=8), {})  # type: ignore[arg-type]


class Once:
    """Gives its values once, as a stream does."""

    def __init__(self, values: list[Any]) -> None:
        self._values: Iterator[Any] = iter(values)

    def __iter__(self) -> Iterator[Any]:
        return self._values


def shuffled(texts: list[Any]) -> pd.Series:
    """The texts in this order under labels that are in another."""
    return pd.Series(texts, index=[2, 0, 3, 1][: len(texts)])


WAYS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "generator": iter,
    "map": lambda texts: map(str, texts),
    "stream": Once,
    "keys of a dictionary": lambda texts: dict.fromkeys(texts).keys(),
    "values of a dictionary": lambda texts: dict(enumerate(texts)).values(),
    "numpy strings": np.array,
    "numpy objects": lambda texts: np.array(texts, dtype=object),
    "pandas with shuffled labels": shuffled,
    "pandas with labels of text": lambda texts: pd.Series(texts, index=list("dbca")[: len(texts)]),
    "pandas of Arrow": lambda texts: pd.Series(texts, dtype="string[pyarrow]"),
    "pandas index": pd.Index,
    "Arrow array": pa.array,
    "Arrow column": lambda texts: pa.table({"text": texts})["text"],
    "datasets column": lambda texts: datasets.Dataset.from_dict({"text": texts})["text"],
    "datasets rows": lambda texts: datasets.Dataset.from_dict({"text": texts}),
}


@pytest.mark.parametrize("way", WAYS)
def test_documents_of_any_kind_get_their_own_scores(reranker: Reranker, way: str) -> None:
    ranked = reranker.rank(QUERY, WAYS[way](TEXTS))
    assert [(each.index, each.score, each.text) for each in ranked] == BEST_FIRST
    assert {type(each.text) for each in ranked} == {str}


@pytest.mark.parametrize("way", WAYS)
def test_each_list_of_many_queries_may_be_of_any_kind(reranker: Reranker, way: str) -> None:
    rankings = reranker.rank_many(iter([QUERY, "hen"]), (WAYS[way](texts) for texts in (TEXTS, TEXTS[:3])))
    assert [(each.index, each.score, each.text) for each in rankings[0]] == BEST_FIRST
    assert [(each.index, each.score) for each in rankings[1]] == [(2, 1.0), (0, 0.0), (1, 0.0)]


@pytest.mark.parametrize(
    "pairs",
    [
        [(QUERY, text) for text in TEXTS],
        [[QUERY, text] for text in TEXTS],
        ((QUERY, text) for text in TEXTS),
        zip([QUERY] * 4, shuffled(TEXTS), strict=True),
        Once([(QUERY, text) for text in TEXTS]),
        np.array([(QUERY, text) for text in TEXTS]),
        np.array([(QUERY, text) for text in TEXTS], dtype=object),
        shuffled([(QUERY, text) for text in TEXTS]),
        dict(enumerate((QUERY, text) for text in TEXTS)).values(),
        [(QUERY, {"text": text, "id": 7}) for text in TEXTS],
    ],
    ids=lambda pairs: type(pairs).__name__,
)
def test_pairs_of_any_kind_get_their_own_scores(reranker: Reranker, pairs: Any) -> None:
    assert reranker.score(pairs).tolist() == [0.0, 3.0, 1.0, 2.0]


def test_chunks_of_any_kind_get_their_own_scores(reranker: Reranker) -> None:
    chunks = (((QUERY, text) for text in part) for part in (TEXTS[:3], [], TEXTS[3:]))
    assert [logits.tolist() for logits in reranker.score_chunks(chunks)] == [[0.0, 3.0, 1.0], [], [2.0]]


def test_the_column_of_a_sorted_frame_is_ranked_by_position(reranker: Reranker) -> None:
    frame = pd.DataFrame({"text": TEXTS, "date": [3, 1, 2, 0]}).sort_values("date")
    ranked = reranker.rank(QUERY, frame["text"])
    assert [(each.score, each.text) for each in ranked] == [(score, text) for _, score, text in BEST_FIRST]
    assert [frame.iloc[each.index]["text"] for each in ranked] == [each.text for each in ranked]


# dictionaries


def test_a_document_with_a_title_is_read_with_it_and_its_id_comes_back(reranker: Reranker) -> None:
    documents: list[Any] = [
        {"id": 10, "text": "a dog"},
        {"doc_id": "문서 2", "title": "red", "text": "big cat "},
        {"_id": "c", "title": None, "text": "red", "source": "ignored"},
        "big red",
    ]
    ranked = reranker.rank(QUERY, documents)
    assert [(each.index, each.score, each.text, each.id) for each in ranked] == [
        (1, 3.0, "red big cat", "문서 2"),
        (3, 2.0, "big red", None),
        (2, 1.0, "red", "c"),
        (0, 0.0, "a dog", 10),
    ]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            {"body": "a", "title": "b"},
            "document 1 has the keys body, title, and not text; call what is to be read text",
        ),
        ({}, "document 1 has the keys none, and not text"),
        ({"text": None, "title": "b"}, "the text of document 1 is None; a text is a string; leave out what is missing"),
        ({"text": 3}, "the text of document 1 is 3; a text is a string"),
        ({"text": "a", "title": 3}, "the title of document 1 is 3; a title is a string or None"),
        ({"text": "a", "id": 1, "doc_id": 2}, "document 1 has two ids, id and doc_id; leave one out"),
        ({"text": "a \ud800"}, "document 1 holds half a surrogate pair"),
    ],
)
def test_a_dictionary_that_is_no_document_is_named(reranker: Reranker, document: Any, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        reranker.rank(QUERY, ["a", document])
    assert str(refused.value).startswith(sentence)


# what is refused, and that nothing was scored before


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be scored meanwhile."""
    monkeypatch.setattr(OverlapScorer, "score_encoded", lambda *_: pytest.fail("something was scored"))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (None, "document 3 is None; a document is a text, or a dictionary with text, and perhaps title and id; leave "),
        (float("nan"), "document 3 is nan; .*; leave out what is missing"),
        (pd.NA, "document 3 is <NA>; .*; leave out what is missing"),
        (pd.NaT, "document 3 is NaT; .*; leave out what is missing"),
        (3, "document 3 is 3; a document is a text"),
        (b"bytes", "document 3 is b'bytes'; .*; decode it first"),
        (["a", "b"], r"document 3 is \['a', 'b'\]; .*; for several lists use rank_many"),
        ("half \ud800", "document 3 holds half a surrogate pair"),
    ],
    ids=repr,
)
def test_what_is_no_document_is_named_by_its_position(reranker: Reranker, bad: Any, sentence: str) -> None:
    for documents in (["a", "b", "c", bad], iter(["a", "b", "c", bad])):
        with pytest.raises(InputError, match=f"^{sentence}"):
            reranker.rank(QUERY, documents)
    with pytest.raises(InputError, match=f"^in the list of query 1, {sentence}"):
        reranker.rank_many([QUERY, QUERY], [["a"], ["a", "b", "c", bad]])


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("documents", "sentence"),
    [
        (None, "documents is None; pass a list of texts"),
        ("one text", "documents is one text, 'one text'; pass a list of texts"),
        (b"bytes", "documents is one text, b'bytes'; pass a list of texts"),
        ({"text": "a"}, "documents is a dictionary, {'text': 'a'}; pass a list of texts, for example of its values"),
        ({"a", "b"}, "documents is a set, which has no order, "),
        (5, "documents is 5; pass a list of texts"),
        (np.array("a"), r"documents is array\('a'.*\); pass a list of texts"),
        (
            pd.DataFrame({"text": ["a"]}),
            r"documents is a table \(DataFrame\), which gives its columns and not",
        ),
        (pa.table({"text": ["a"]}), r"documents is a table \(Table\), which gives its columns"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_documents_in_order_is_refused(reranker: Reranker, documents: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        reranker.rank(QUERY, documents)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (None, "query is None; a query is one text; leave out what is missing"),
        (float("nan"), "query is nan; a query is one text"),
        (b"red", "query is b'red'; a query is one text; decode it first"),
        (["red", "cat"], r"query is \['red', 'cat'\]; a query is one text; for several lists use rank_many"),
        ("half \udfff", "query holds half a surrogate pair"),
    ],
    ids=repr,
)
def test_what_is_no_query_is_refused(reranker: Reranker, query: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        reranker.rank(query, TEXTS)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (None, "pairs is None; pass a list of pairs, such as "),
        ("one string", "pairs is one text, 'one string'; pass a list of pairs"),
        ({QUERY: "a"}, "pairs is a dictionary"),
        ({(QUERY, "a")}, "pairs is a set, which has no order"),
        (pd.DataFrame({"q": ["a"], "d": ["b"]}), r"pairs is a table \(DataFrame\)"),
        ((QUERY, "a"), r"pair 0 is 'red big cat'; .*; for a single pair pass \[\(query, document\)\]"),
        ([("a", "b")] * 5000 + [("a", "b", "c")], r"pair 5000 is \('a', 'b', 'c'\); a pair is two strings"),
        ([("a", "b"), ("a", None)], r"pair 1 is \('a', None\); a pair is two strings"),
        ([("a", "b"), ("a", float("nan"))], r"pair 1 is \('a', nan\); a pair is two strings"),
        ([("a", "b"), (b"a", "b")], r"pair 1 is \(b'a', 'b'\); a pair is two strings"),
        ([("a", "b"), ("a", ["b", "c"])], r"pair 1 is \('a', \['b', 'c'\]\); a pair is two strings"),
        ([("a", {"body": "b"})], "the document of pair 0 has the keys body, and not text"),
        ([("a", "b \ud800")], "pair 0 holds half a surrogate pair"),
    ],
    ids=lambda value: f"{value!r:.20}",
)
def test_what_is_no_pair_is_refused_before_anything_is_scored(reranker: Reranker, pairs: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}"):
        reranker.score(pairs)


def test_a_bad_pair_of_a_stream_is_named_by_its_position_in_all_chunks(reranker: Reranker) -> None:
    chunks = [[(QUERY, "a")] * 3, [(QUERY, "b"), (QUERY, None)]]
    with pytest.raises(InputError, match=r"pair 4 is \('red big cat', None\)"):
        list(reranker.score_chunks(chunks))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="chunk 1 is one text, 'ab'; pass a list of pairs"):
        list(reranker.score_chunks([[], "ab"]))  # type: ignore[list-item]


@pytest.mark.usefixtures("untouched")
def test_there_is_one_list_for_each_query(reranker: Reranker) -> None:
    with pytest.raises(InputError, match="queries are 2, and lists of documents 1; pass one list for each query"):
        reranker.rank_many([QUERY, QUERY], [TEXTS])
    with pytest.raises(InputError, match="documents of query 0 is one text, 'a dog'; pass a list of texts"):
        reranker.rank_many([QUERY] * 4, TEXTS)
    with pytest.raises(InputError, match="queries is one text, 'red big cat'; pass a list of texts"):
        reranker.rank_many(QUERY, [TEXTS])
    with pytest.raises(InputError, match="query 1 is None; a query is one text"):
        reranker.rank_many([QUERY, None], [TEXTS, TEXTS])  # type: ignore[list-item]


@pytest.mark.usefixtures("untouched")
def test_a_generator_that_stands_for_the_list_of_two_queries_is_refused(reranker: Reranker) -> None:
    sentence = "documents of query 1 are read already, from the same generator as those of a query before it; make a "
    with pytest.raises(InputError, match=sentence):
        reranker.rank_many([QUERY, QUERY], [(text for text in TEXTS)] * 2)


def test_the_same_list_may_stand_for_every_query(reranker: Reranker) -> None:
    first, second = reranker.rank_many([QUERY, "hen"], [TEXTS] * 2)
    assert ([each.index for each in first], [each.index for each in second]) == ([1, 3, 2, 0], [2, 0, 1, 3])


def test_nothing_gives_nothing(reranker: Reranker) -> None:
    assert reranker.rank(QUERY, iter([])) == []
    assert reranker.rank_many([], []) == []
    assert reranker.rank_many([QUERY, QUERY], [[], ["cat"]]) == [[], [RankedDocument(0, 1.0, "cat", None, 4)]]
    assert reranker.score(iter([])).tolist() == []
    assert list(reranker.score_chunks([])) == []


# arguments


@pytest.mark.parametrize("top_n", [0, -1, "3", 2.0, True], ids=repr)
def test_a_top_n_that_is_no_number_of_documents_is_refused(reranker: Reranker, top_n: Any) -> None:
    with pytest.raises(SettingsError, match=f"top_n is {top_n!r}; use at least 1, a whole number, or None for all"):
        reranker.rank(QUERY, TEXTS, top_n=top_n)
    assert len(reranker.rank(QUERY, TEXTS, top_n=np.int64(2))) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "argument", "sentence"),
    [
        ("rank", "top_k", "rank has no argument top_k; write top_n"),
        ("rank", "passages", "rank has no argument passages; write documents"),
        ("rank", "return_documents", "rank has no argument return_documents; the text is in every result"),
        ("rank", "doc_ids", "rank has no argument doc_ids; an id stands beside its text"),
        ("rank", "topn", "rank has no argument topn; write top_n"),
        ("rank", "xyz", "rank has no argument xyz; it takes query, documents, top_n, normalize, show_progress"),
        ("rank_many", "top_k", "rank_many has no argument top_k; write top_n"),
        ("score", "show_progress_bar", "score has no argument show_progress_bar; write show_progress"),
        ("score", "batch_size", "score has no argument batch_size; batches are cut by tokens"),
        ("load", "batch_size", "load has no argument batch_size; write budget"),
        ("load", "trust_remote_code", "load has no argument trust_remote_code; no code of a model is run"),
        ("load", "model_name_or_path", "load has no argument model_name_or_path; write model"),
    ],
)
def test_a_name_that_others_use_is_answered_with_ours(
    reranker: Reranker, method: str, argument: str, sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        getattr(reranker, method)(QUERY, TEXTS, **{argument: 3})
    assert str(refused.value).startswith(sentence)


# what comes back


def test_tokens_and_what_was_cut_are_with_each_document(reranker: Reranker) -> None:
    # A window of 8: the query takes 3 and leaves a document 5.
    long = "one two three four five six seven"
    by_index = {each.index: (each.tokens, each.truncated_tokens) for each in reranker.rank(QUERY, ["cat", long])}
    assert by_index == {0: (4, 0), 1: (8, 2)}
    assert reranker.cut == {"documents_cut": 1, "queries_cut": 0}


def test_a_progress_bar_counts_the_pairs_and_is_there_on_demand(
    reranker: Reranker, capfd: pytest.CaptureFixture[str]
) -> None:
    reranker.rank(QUERY, TEXTS)
    reranker.score([(QUERY, text) for text in TEXTS])
    assert capfd.readouterr() == ("", "")
    reranker.rank_many([QUERY, QUERY], [TEXTS, TEXTS], show_progress=True)
    assert "8/8" in (shown := capfd.readouterr()).err
    assert shown.out == ""
    reranker.score(((QUERY, text) for text in TEXTS), show_progress=True)
    assert "4 pairs" in capfd.readouterr().err


def test_equal_documents_of_a_long_list_tie_wherever_they_stand(reranker: Reranker) -> None:
    # More than a chunk of pairs: the copies are 3,000 places apart.
    documents = ["red cat", *(f"word{n}" for n in range(3000)), "red cat"]
    assert [each.index for each in reranker.rank(QUERY, documents, top_n=2)] == [0, 3001]
