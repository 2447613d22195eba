"""BM25: scores by hand, ties, limits, and what a search promises whatever is searched beside it."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator
from math import log
from pathlib import Path

import bm25s
import numpy as np
import pytest

from crossrank.errors import CorpusTooLarge, InputError, SettingsError
from crossrank.retrieval import bm25
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index, best, estimate_bytes


class Words:
    """Lowercased words, so that a reader sees the terms."""

    name = "words"

    def __call__(self, text: str) -> list[str]:
        return text.lower().split()


def index_of(texts: list[str], k1: float = 0.9, b: float = 0.4) -> Bm25Index:
    return Bm25Index.build(texts, Words(), num_documents=len(texts), k1=k1, b=b)


def found(index: Bm25Index, query: str, depth: int = 10) -> list[int]:
    return index.search([query], depth)[0][0].tolist()


def random_texts(num_texts: int, seed: int = 0) -> list[str]:
    """Texts of 0 to 11 words of which a few are frequent, so that scores tie often."""
    rng = random.Random(seed)
    words = [f"w{number}" for number in range(30)]
    weights = [1 / (1 + number) for number in range(30)]
    return [" ".join(rng.choices(words, weights, k=rng.randrange(12))) for _ in range(num_texts)]


def test_scores_are_those_worked_out_by_hand() -> None:
    # Three passages of 2, 3 and 1 words: mean length 2. "cat" is in two of them, "dog" in one.
    index = index_of(["cat sat", "cat cat dog", "bird"])
    idf_cat, idf_dog = log(1 + 1.5 / 2.5), log(1 + 2.5 / 1.5)
    # k1 * (1 - b + b * length / mean) is 0.9 for the first and 0.9 * (0.6 + 0.4 * 1.5) = 1.08 for the second.
    first = idf_cat * 1 / (1 + 0.9)
    second = idf_cat * 2 / (2 + 1.08) + idf_dog * 1 / (1 + 1.08)
    [(rows, scores)] = index.search(["cat dog"], 10)
    assert rows.tolist() == [1, 0]
    assert rows.dtype == np.int32
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, [second, first], rtol=1e-6)


def test_a_word_that_the_query_has_twice_counts_twice() -> None:
    index = index_of(["cat sat", "cat cat dog", "bird"])
    [(_, once), (_, twice)] = index.search(["bird", "bird bird"], 10)
    np.testing.assert_allclose(twice, 2 * once)


@pytest.mark.parametrize("depth", [1, 7, 500])
def test_scores_are_those_of_bm25s(depth: int) -> None:
    texts = random_texts(500)
    theirs = bm25s.BM25(k1=1.2, b=0.75, method="lucene")
    theirs.index([text.split() for text in texts], show_progress=False)
    index = index_of(texts, k1=1.2, b=0.75)
    for query in random_texts(50, seed=1):
        [(rows, scores)] = index.search([query], depth)
        all_scores = theirs.get_scores(query.split()) if query else np.zeros(500, dtype=np.float32)
        np.testing.assert_allclose(scores, all_scores[rows], rtol=1e-5)
        np.testing.assert_allclose(scores, np.sort(all_scores[all_scores > 0])[::-1][:depth], rtol=1e-5)


def test_ties_go_to_the_earlier_passage_at_the_cut_as_well() -> None:
    # Every "cat" passage has the same score; the longer one has less.
    index = index_of(["bird", "cat", "cat", "cat dog dog", "cat", "cat"])
    assert found(index, "cat") == [1, 2, 4, 5, 3]
    assert found(index, "cat", depth=3) == [1, 2, 4]


def test_the_best_are_chosen_by_score_and_then_by_row_in_whatever_order_they_come() -> None:
    rows, scores = np.array([9, 2, 7, 4, 1], dtype=np.int32), np.array([1, 3, 1, 1, 2], dtype=np.float32)
    assert best(rows, scores, 4)[0].tolist() == [2, 1, 4, 7]


def test_a_query_has_one_result_whatever_is_searched_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(random_texts(300))
    queries = random_texts(60, seed=2)
    together = index.search(queries, 9)
    for query, (rows, scores) in zip(queries, together, strict=True):
        words = query.split()
        [(alone, alone_scores), (turned, turned_scores)] = index.search([query, " ".join(reversed(words))], 9)
        assert rows.tolist() == alone.tolist() == turned.tolist()
        assert scores.tolist() == alone_scores.tolist() == turned_scores.tolist()
    # The two ways to rank, by the rows that were touched and by a pass over all, agree.
    for few in (1, 10**9):
        monkeypatch.setattr(bm25, "FEW", few)
        for (rows, scores), (same_rows, same_scores) in zip(together, index.search(queries, 9), strict=True):
            assert rows.tolist() == same_rows.tolist()
            assert scores.tolist() == same_scores.tolist()


def test_a_query_in_capital_letters_finds_the_same() -> None:
    texts = ["A fox runs", "The dog sleeps", "Running foxes"]
    index = Bm25Index.build(texts, analyser("en"), num_documents=3)
    assert found(index, "RUNNING FOX") == found(index, "running fox") == [0, 2]


def test_korean_is_found_under_another_particle() -> None:
    texts = ["독일은 유럽에 있다", "미국은 크다", "독일의 수도"]
    index = Bm25Index.build(texts, analyser("ko"), num_documents=3)
    # 독일에서 -> 독일 일에 에서: only 독일 is known, and the shorter passage (독일 일의 수도) comes first.
    assert found(index, "독일에서") == [2, 0]


@pytest.mark.parametrize("query", ["", "   ", "zebra unicorn"])
def test_a_query_without_known_words_finds_nothing(query: str) -> None:
    [(rows, scores), (others, _)] = index_of(["cat", "dog"]).search([query, "dog"], 10)
    assert rows.shape == scores.shape == (0,)
    assert rows.dtype == np.int32
    assert scores.dtype == np.float32
    assert others.tolist() == [1]


def test_no_queries_no_results() -> None:
    assert index_of(["cat"]).search([], 10) == []


def test_only_passages_that_share_a_word_are_found_however_deep() -> None:
    assert found(index_of(["cat", "dog", "cat dog"]), "cat", depth=1000) == [0, 2]


def test_a_depth_of_0_is_refused() -> None:
    with pytest.raises(SettingsError, match="the depth is 0"):
        index_of(["cat"]).search(["cat"], 0)


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_a_corpus_without_words_can_be_searched(texts: list[str]) -> None:
    assert found(index_of(texts), "cat") == []


def test_passages_keep_their_rows_when_empty_ones_lie_between() -> None:
    assert found(index_of(["", "cat", "", "cat"]), "cat") == [1, 3]


def test_a_corpus_of_many_chunks_gives_the_same_index(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*random_texts(200), "many " * 300]
    whole = index_of(texts)
    monkeypatch.setattr(bm25, "POSTINGS_PER_CHUNK", 7)
    pieces = index_of(texts)
    assert pieces.vocabulary == whole.vocabulary
    for name in ("scores_P", "rows_P", "starts"):
        assert getattr(pieces, name).tolist() == getattr(whole, name).tolist()


def test_a_corpus_that_does_not_fit_is_refused_in_one_sentence_with_both_numbers() -> None:
    def texts() -> Iterator[str]:
        for row in range(1000):
            yield f"cat dog {row}"
        raise AssertionError("read on after it had to be refused")

    with pytest.raises(CorpusTooLarge) as refusal:
        Bm25Index.build(texts(), Words(), num_documents=20_000_000, available_bytes=500_000_000)
    message = str(refusal.value)
    assert "BM25 over 20,000,000 passages needs about " in message
    assert "500.0 MB of memory are available" in message
    assert "--candidates" in message
    assert "\n" not in message


def test_a_corpus_that_grows_longer_than_its_beginning_is_refused_while_it_is_read() -> None:
    num_read = 0

    def texts() -> Iterator[str]:
        nonlocal num_read
        while num_read < 3000:
            num_read += 1
            yield "cat" if num_read <= 1000 else " ".join(map(str, range(1000)))

    with pytest.raises(CorpusTooLarge):
        Bm25Index.build(texts(), Words(), num_documents=3000, available_bytes=20_000_000)
    # A chunk is 500,000 postings: 1,000 short passages, then 500 of 1,000 words.
    assert num_read < 2000


def test_the_memory_foretold_covers_what_building_takes() -> None:
    rng = random.Random(0)
    texts = [" ".join(str(rng.randrange(5000)) for _ in range(100)) for _ in range(3000)]
    foretold = estimate_bytes(texts[:1000], Words(), len(texts))
    tracemalloc.start()
    try:
        Bm25Index.build(iter(texts), Words(), num_documents=len(texts))
        _, taken = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < foretold < 4 * taken


def test_ten_times_the_passages_are_foretold_ten_times_the_memory() -> None:
    sample = random_texts(100)
    one, ten = (estimate_bytes(sample, Words(), num) for num in (10_000_000, 100_000_000))
    assert 9 * one < ten < 10 * one


@pytest.mark.parametrize("num_documents", [2, 4])
def test_a_corpus_that_changed_since_it_was_counted_is_refused(num_documents: int) -> None:
    with pytest.raises(InputError, match=f"counted at {num_documents} passages and 3 were read"):
        Bm25Index.build(["a", "b", "c"], Words(), num_documents=num_documents)


@pytest.mark.parametrize("mmap", [True, False])
def test_an_index_finds_the_same_after_saving_and_loading(tmp_path: Path, mmap: bool) -> None:
    texts = ["독일은 유럽에 있다", "미국은 크다", "독일의 수도", '"quotes" \\ and more']
    index = Bm25Index.build(texts, analyser("ko"), num_documents=4, k1=1.2)
    index.save(tmp_path / "index")
    loaded = Bm25Index.load(tmp_path / "index", mmap=mmap)
    assert (loaded.analyser, loaded.k1, loaded.num_documents) == (analyser("ko"), 1.2, 4)
    [(rows, scores)], [(same_rows, same_scores)] = index.search(["독일에"], 5), loaded.search(["독일에"], 5)
    assert rows.tolist() == same_rows.tolist() == [2, 0]
    assert scores.tolist() == same_scores.tolist()


def test_bm25s_reads_a_saved_index(tmp_path: Path) -> None:
    index_of(["cat sat", "cat cat dog", "bird"]).save(tmp_path)
    theirs = bm25s.BM25.load(tmp_path)
    assert theirs.retrieve([["bird"]], k=1, show_progress=False).documents.tolist() == [[2]]


def test_an_index_that_was_not_saved_to_its_end_is_refused(tmp_path: Path) -> None:
    index = index_of(["cat"])
    index.save(tmp_path)
    (tmp_path / bm25.READY).unlink()
    with pytest.raises(InputError, match="no finished BM25 index"):
        Bm25Index.load(tmp_path)
