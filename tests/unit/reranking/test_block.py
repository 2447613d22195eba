"""Scoring one block: the results of a worker, with scores that can be counted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crossrank.corpus.store import SourceRow, open_store
from crossrank.corpus.tokens import open_tokens
from crossrank.records import Reason, Reject
from crossrank.reranking import block
from crossrank.reranking.block import Corpus, Keep, rerank_block
from crossrank.reranking.layout import PREPARED_SCHEMA, part_schema
from crossrank.scoring.interfaces import EncodedText, Scored, Window
from crossrank.scoring.prefetch import ahead
from tests.unit.stand_ins import OverlapEncoder, OverlapScorer

TEXTS = ["a red cat", "a blue dog", "red red cat cat sleeps", "one cat", "nothing here"]
"""Of the corpus: rows 0 to 4 are the documents d0 to d4."""
ALL = Keep(top_n=0, normalize="none", with_text=False)

OpenCorpus = Callable[..., Corpus]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    def read(_: Reject) -> Iterator[SourceRow]:
        for row, text in enumerate(TEXTS):
            yield SourceRow("c.tsv", row + 1, f"d{row}", text)

    return Corpus(open_store(tmp_path / "store", read, Reason.EMPTY_DOCUMENT), None)


def query(query_id: str, text: str, rows: list[int], reason: Reason | None = None) -> dict[str, Any]:
    """A row of a block, with candidates from the corpus and their first-stage scores counted down from 10."""
    return {
        "query_id": query_id,
        "query": text,
        "reason": reason,
        "corpus_rows": rows,
        "initial_ranks": list(range(1, len(rows) + 1)),
        "initial_scores": [10.0 - place for place in range(len(rows))],
    }


def group(query_id: str, text: str, docs: dict[str, str | None], **lists: list[Any]) -> dict[str, Any]:
    """A row of a block whose documents bring their texts; None takes that of row 0, 1, ... of the corpus."""
    own = query(query_id, text, [-1 if doc is not None else place for place, doc in enumerate(docs.values())])
    return own | {"doc_ids": list(docs), "texts": list(docs.values())} | lists


def results(
    rows: list[dict[str, Any]], corpus: Corpus | None, keep: Keep = ALL, scorer: OverlapScorer | None = None
) -> list[dict[str, Any]]:
    table = pa.Table.from_pylist([{"row": 40 + n, **row} for n, row in enumerate(rows)], schema=PREPARED_SCHEMA)
    part = rerank_block(table, scorer or OverlapScorer(), corpus, keep)
    assert part.schema == part_schema(keep.with_text)
    assert part["row"].to_pylist() == [40 + n for n in range(len(rows))]
    return part.to_pylist()


def ranking(result: dict[str, Any]) -> list[tuple[str, float]]:
    assert [doc["rank"] for doc in result["docs"]] == list(range(1, len(result["docs"]) + 1))
    return [(doc["doc_id"], doc["score"]) for doc in result["docs"]]


def test_documents_are_ranked_by_the_words_they_share(corpus: Corpus) -> None:
    [first, second] = results([query("q1", "red cat sleeps", [1, 3, 0, 2]), query("q2", "blue dog", [0, 1])], corpus)
    # q1 shares nothing with d1, "cat" with d3, "red cat" with d0, and all of its three words with d2.
    assert ranking(first) == [("d2", 3), ("d0", 2), ("d3", 1), ("d1", 0)]
    assert ranking(second) == [("d1", 2), ("d0", 0)]
    assert (first["status"], first["reason"], first["query"]) == ("ok", None, "red cat sleeps")
    assert first["docs"][0] == {
        "doc_id": "d2",
        "rank": 1,
        "score": 3.0,
        "initial_rank": 4,
        "initial_score": 7.0,
        "label": None,
        "truncated_tokens": 0,
    }


def test_equal_scores_keep_their_initial_order(corpus: Corpus) -> None:
    [result] = results([query("q1", "cat", [3, 4, 2, 1, 0])], corpus)
    assert ranking(result) == [("d3", 1), ("d2", 1), ("d0", 1), ("d4", 0), ("d1", 0)]
    assert result["stats"]["tied_documents"] == 5


@pytest.mark.parametrize(("top_n", "num_docs"), [(0, 4), (1, 1), (3, 3), (9, 4)])
def test_so_many_are_kept_and_none_means_all(corpus: Corpus, top_n: int, num_docs: int) -> None:
    [result] = results([query("q1", "red cat sleeps", [1, 3, 0, 2])], corpus, Keep(top_n, "none", False))
    assert ranking(result) == [("d2", 3), ("d0", 2), ("d3", 1), ("d1", 0)][:num_docs]
    assert result["stats"]["pairs"] == 4, "all are scored, whatever is kept"


def test_softmax_runs_over_all_candidates_though_few_are_kept(corpus: Corpus) -> None:
    [result] = results([query("q1", "red cat", [1, 0])], corpus, Keep(1, "softmax", False))
    # Logits 0 and 2: the best has e^2 / (e^0 + e^2), not 1.
    [(doc_id, score)] = ranking(result)
    assert doc_id == "d0"
    assert score == pytest.approx(np.exp(2) / (1 + np.exp(2)), rel=1e-6)


def test_the_order_is_that_of_the_logits_where_a_sigmoid_cannot_tell_them_apart() -> None:
    words = [f"w{number}" for number in range(20)]
    docs: dict[str, str | None] = {"less": " ".join(words[:18]), "more": " ".join(words)}
    [result] = results([group("q1", " ".join(words), docs)], None, Keep(0, "sigmoid", False))
    assert ranking(result) == [("more", 1.0), ("less", 1.0)]


@pytest.mark.parametrize("with_store", [True, False])
def test_a_score_that_is_no_number_rejects_its_query_alone(corpus: Corpus, tmp_path: Path, with_store: bool) -> None:
    scorer = OverlapScorer(poison="one cat", keeps_tokens=with_store)
    if with_store:
        wanted_N = np.ones(len(TEXTS), dtype=bool)
        corpus = Corpus(corpus.store, open_tokens(tmp_path / "tokens", corpus.store, wanted_N, scorer.encoder))
    rows = [query("q1", "red cat", [0]), query("q2", "red cat", [0, 3, 1]), query("q3", "red cat", [1])]
    [first, second, third] = results(rows, corpus, scorer=scorer)
    assert ranking(first) == [("d0", 2)]
    assert (second["status"], second["reason"], second["docs"]) == ("rejected", "score_not_finite", [])
    assert second["stats"]["pairs"] == 3
    assert ranking(third) == [("d1", 0)]


def test_scores_that_are_no_numbers_are_not_ties() -> None:
    docs: dict[str, str | None] = {"a": "cat", "b": "cat", "c": "dog"}
    [result] = results([group("q1", "dog", docs)], None, scorer=OverlapScorer(poison="cat"))
    assert (result["reason"], result["stats"]["tied_documents"]) == ("score_not_finite", 0)


def test_texts_are_kept_from_the_corpus_and_from_the_group(corpus: Corpus) -> None:
    rows = [
        group("g1", "red cat", {"d0": None, "own": "cat", "d2": None}),
        group("g2", "dog", {"d0": None, "d1": None}),
    ]
    [first, second] = results(rows, corpus, Keep(0, "none", True))
    assert [(doc["doc_id"], doc["text"]) for doc in first["docs"]] == [
        ("d0", "a red cat"),
        ("d2", "red red cat cat sleeps"),
        ("own", "cat"),
    ]
    assert [(doc["doc_id"], doc["text"]) for doc in second["docs"]] == [("d1", "a blue dog"), ("d0", "a red cat")]
    [alone] = results([query("q1", "blue", [0, 1])], corpus, Keep(1, "none", True))
    assert [(doc["doc_id"], doc["text"]) for doc in alone["docs"]] == [("d1", "a blue dog")]


def test_ranks_scores_and_labels_of_a_group_stay_with_their_documents() -> None:
    docs: dict[str, str | None] = {"a": "dog", "b": "red cat"}
    row = group("g1", "red cat", docs, initial_ranks=[3, 8], initial_scores=[0.5, None], labels=[0.0, 1.0])
    [result] = results([row], None)
    assert [(doc["doc_id"], doc["initial_rank"], doc["initial_score"], doc["label"]) for doc in result["docs"]] == [
        ("b", 8, None, 1.0),
        ("a", 3, 0.5, 0.0),
    ]


def test_what_was_read_and_cut_is_counted(corpus: Corpus) -> None:
    # A window of 6: the query of 4 words is cut to 3, which leaves 3 words for each document. d2 has 5.
    [result] = results([query("q1", "red cat sleeps here", [2, 3])], corpus, scorer=OverlapScorer(max_length=6))
    assert ranking(result) == [("d2", 2), ("d3", 1)]  # "red red cat" is left of d2, without "sleeps"
    assert [doc["truncated_tokens"] for doc in result["docs"]] == [2, 0]
    assert result["stats"] == {
        "pairs": 2,
        "tokens": (3 + 3) + (3 + 2),
        "padding": 0,
        "truncated_documents": 1,
        "query_truncated_tokens": 1,
        "tied_documents": 0,
    }


def test_a_text_that_many_lists_name_is_made_ready_once(corpus: Corpus) -> None:
    scorer = OverlapScorer()
    rows = [group(f"g{n}", "cat", {"d0": None, "x": "same text", "y": "same text"}) for n in range(3)]
    results(rows, corpus, scorer=scorer)
    assert scorer.encoder.num_texts == 2


class CountingEncoder(OverlapEncoder):
    """Tells when it was asked for a second lot of documents."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_again = threading.Event()
        self._asked = False

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        if self._asked:
            self.asked_again.set()
        self._asked = True
        return super().documents(texts)


class AheadScorer(OverlapScorer):
    """Asks for the next window while it scores one, as a model on a GPU does, and scores the first one for as long
    as the second is not tokenised."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = self.counting = CountingEncoder()

    def score_windows(self, windows: Iterator[Window]) -> Iterator[Scored]:
        return super().score_windows(ahead(windows))

    def score_encoded(self, *window: Any) -> Scored:
        assert self.counting.asked_again.wait(20), "nothing was tokenised while the model scored"
        return super().score_encoded(*window)


def test_texts_are_tokenised_while_those_before_them_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block, "WINDOW_PAIRS", 2)
    rows = [group(f"g{n}", f"w{n}", {"a": f"w{n} a", "b": f"w{n + 1} b"}) for n in range(5)]
    scorer = AheadScorer()
    for n, result in enumerate(results(rows, None, scorer=scorer)):
        assert ranking(result) == [("a", 1), ("b", 0)], n
    assert scorer.counting.num_texts == 10


@pytest.mark.parametrize("window_pairs", [1, 2, 3, 4, 6, 100])
@pytest.mark.parametrize("with_store", [True, False])
def test_the_windows_of_a_block_change_nothing(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_pairs: int, with_store: bool
) -> None:
    scorer = OverlapScorer(keeps_tokens=with_store)
    if with_store:
        wanted_N = np.ones(len(TEXTS), dtype=bool)
        corpus = Corpus(corpus.store, open_tokens(tmp_path / "tokens", corpus.store, wanted_N, scorer.encoder))
    rows = [
        group("g1", "", {}) | {"reason": Reason.EMPTY_QUERY},
        group("g2", "red cat", {"d0": None, "own": "cat cat red sleeps"}),
        group("g3", "blue dog", {"d0": None, "d1": None, "d2": None}),
        group("g4", "zebra", {}) | {"reason": Reason.NO_CANDIDATES},
        group("g5", "sleeps", {"d0": None, "own": "cat cat red sleeps", "again": "cat cat red sleeps"}),
        group("g6", "cat", {}) | {"reason": Reason.NO_CANDIDATES},
    ]
    whole = results(rows, corpus, scorer=scorer)
    made_ready = scorer.encoder.num_texts
    monkeypatch.setattr(block, "WINDOW_PAIRS", window_pairs)
    assert results(rows, corpus, scorer=scorer) == whole
    assert [ranking(row) for row in whole] == [
        [],
        [("d0", 2), ("own", 2)],
        [("d1", 2), ("d0", 0), ("d2", 0)],
        [],
        [("own", 1), ("again", 1), ("d0", 0)],
        [],
    ]
    if with_store:
        assert scorer.encoder.num_texts - made_ready == 1, "a text of two windows is made ready once"


def test_queries_without_candidates_stand_between_those_that_have_some(corpus: Corpus) -> None:
    rows = [
        query("q1", "cat", [], Reason.NO_CANDIDATES),
        query("q2", "red cat", [1, 0]),
        query("q3", "", [], Reason.EMPTY_QUERY),
        query("q4", "dog", [1]),
    ]
    found = results(rows, corpus)
    assert [(row["query_id"], row["status"], row["reason"]) for row in found] == [
        ("q1", "rejected", "no_candidates"),
        ("q2", "ok", None),
        ("q3", "rejected", "empty_query"),
        ("q4", "ok", None),
    ]
    assert [ranking(row) for row in found] == [[], [("d0", 2), ("d1", 0)], [], [("d1", 1)]]


@pytest.mark.parametrize("keep", [ALL, Keep(3, "softmax", True)])
def test_a_block_of_which_nothing_can_be_scored(corpus: Corpus, keep: Keep) -> None:
    without_corpus = [group("g1", "cat", {}) | {"reason": Reason.NO_CANDIDATES}]
    for rows, own in (([query("q1", "", [], Reason.EMPTY_QUERY)], corpus), (without_corpus, None)):
        [result] = results(rows, own, keep)
        assert (result["status"], result["docs"], result["stats"]["pairs"]) == ("rejected", [], 0)
