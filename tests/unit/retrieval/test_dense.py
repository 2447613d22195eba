"""Exact dense search, against a sort of all the products, and where rounding could change what is found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.errors import SettingsError
from crossrank.retrieval.dense import DenseIndex, Hits, Shard, merge, search


def shards_of(vectors: NDArray[np.floating], size: int, usable: NDArray[np.bool_] | None = None) -> list[Shard]:
    usable = np.ones(len(vectors), dtype=bool) if usable is None else usable
    return [
        Shard(start, vectors[start : start + size], usable[start : start + size])
        for start in range(0, len(vectors), size)
    ]


def by_sorting(queries: NDArray[np.float32], vectors: NDArray[np.floating], depth: int) -> list[list[int]]:
    """Rows by their product in float64 as a float32, equal ones by row."""
    found = []
    for query in queries.astype(np.float64):
        scores = (vectors.astype(np.float64) * query).sum(axis=1).astype(np.float32)
        found.append(np.lexsort((np.arange(len(vectors)), -scores))[:depth].tolist())
    return found


def rows_of(hits: Hits) -> list[list[int]]:
    return [rows.tolist() for rows, _ in hits]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_what_is_found_is_what_a_sort_of_all_products_finds_however_the_corpus_is_cut(size: int, dtype: type) -> None:
    draw = np.random.default_rng(size)
    vectors: NDArray[np.floating] = draw.normal(size=(500, 16)).astype(dtype)
    queries = draw.normal(size=(9, 16)).astype(np.float32)
    assert rows_of(search(queries, shards_of(vectors, size), 10)) == by_sorting(queries, vectors, 10)


def test_scores_are_products_by_hand_and_fall() -> None:
    vectors: NDArray[np.float32] = np.array([[1, 0], [0, 1], [0.5, 0.5]], dtype=np.float32)
    [(rows, scores)] = search(np.array([[2, 1]], dtype=np.float32), shards_of(vectors, 2), 10)
    # 2*1 + 1*0 = 2; 2*0 + 1*1 = 1; 2*0.5 + 1*0.5 = 1.5
    assert rows.tolist() == [0, 2, 1]
    assert scores.tolist() == [2.0, 1.5, 1.0]
    assert rows.dtype == np.dtype(np.int32)
    assert scores.dtype == np.dtype(np.float32)


@pytest.mark.parametrize("size", [3, 10, 40])
def test_equal_scores_are_by_row_at_the_cut_as_well_wherever_the_shards_begin(size: int) -> None:
    vectors = np.tile(np.array([[0.6, 0.8]], dtype=np.float32), (40, 1))
    [(rows, _)] = search(np.array([[1, 1]], dtype=np.float32), shards_of(vectors, size), 5)
    assert rows.tolist() == [0, 1, 2, 3, 4]


def test_scores_that_differ_by_less_than_a_float32_product_can_tell_are_in_the_right_order() -> None:
    # Nearly the same vector a hundred times, each a step of float32 nearer to the query in one of 384 places: a
    # product of float32 is off by several such steps.
    draw = np.random.default_rng(0)
    base = draw.normal(size=384).astype(np.float32)
    vectors = np.tile(base, (100, 1))
    for row in range(100):
        vectors[row, :row] = np.nextafter(vectors[row, :row], np.float32(np.inf))
    query = np.abs(draw.normal(size=(1, 384))).astype(np.float32)
    assert rows_of(search(query, shards_of(vectors, 8), 7)) == by_sorting(query, vectors, 7)


def test_a_score_does_not_depend_on_the_queries_beside_it() -> None:
    draw = np.random.default_rng(3)
    vectors = draw.normal(size=(300, 48)).astype(np.float32)
    queries = draw.normal(size=(33, 48)).astype(np.float32)
    together = search(queries, shards_of(vectors, 100), 20)
    for number, (rows, scores) in enumerate(together):
        [(alone_rows, alone_scores)] = search(queries[number : number + 1], shards_of(vectors, 100), 20)
        assert alone_rows.tolist() == rows.tolist()
        assert alone_scores.tobytes() == scores.tobytes()


def test_short_vectors_in_one_shard_and_long_ones_in_another_are_compared_rightly() -> None:
    draw = np.random.default_rng(5)
    vectors = np.concatenate([draw.normal(size=(50, 32)) * 1e-3, draw.normal(size=(50, 32)) * 1e3]).astype(np.float32)
    queries = draw.normal(size=(4, 32)).astype(np.float32)
    assert rows_of(search(queries, shards_of(vectors, 50), 60)) == by_sorting(queries, vectors, 60)


def test_rows_that_cannot_be_used_are_never_found_not_even_when_all_are_wanted() -> None:
    vectors = np.eye(4, dtype=np.float32)
    usable = np.array([True, False, True, False])
    [(rows, _)] = search(np.ones((1, 4), dtype=np.float32), shards_of(vectors, 2, usable), 10)
    assert rows.tolist() == [0, 2]
    [(rows, scores)] = search(np.ones((1, 4), dtype=np.float32), shards_of(vectors, 2, np.zeros(4, dtype=bool)), 10)
    assert (rows.tolist(), scores.tolist()) == ([], [])


def test_a_corpus_searched_in_two_halves_and_merged_is_the_corpus_searched_whole() -> None:
    draw = np.random.default_rng(7)
    vectors = np.round(draw.normal(size=(200, 4)), 1).astype(np.float32)  # many ties
    queries = np.round(draw.normal(size=(6, 4)), 1).astype(np.float32)
    shards = shards_of(vectors, 30)
    whole = search(queries, shards, 25)
    merged = merge([search(queries, shards[:3], 25), search(queries, shards[3:], 25)], 25)
    for (rows, scores), (merged_rows, merged_scores) in zip(whole, merged, strict=True):
        assert rows.tolist() == merged_rows.tolist()
        assert scores.tobytes() == merged_scores.tobytes()


def test_no_queries_find_nothing() -> None:
    assert search(np.empty((0, 4), dtype=np.float32), shards_of(np.eye(4, dtype=np.float32), 2), 3) == []


def test_a_depth_of_nothing_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^the depth is 0, and a search wants at least 1 passage a query"):
        search(np.ones((1, 4), dtype=np.float32), shards_of(np.eye(4, dtype=np.float32), 2), 0)


class LetterCounts:
    """Stands in for an encoder: how often a text has each of a, b and c; queries and passages alike."""

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[text.count(letter) for letter in "abc"] for text in texts], dtype=np.float32)

    passages = queries


def test_an_index_is_searched_with_texts_as_bm25_is() -> None:
    corpus = ["aab", "c", "abc"]
    index = DenseIndex(LetterCounts(), shards_of(LetterCounts().passages(corpus), 2))
    (rows, scores), (other, _) = index.search(["a", "c"], 2)
    assert (rows.tolist(), scores.tolist()) == ([0, 2], [2.0, 1.0])
    assert other.tolist() == [1, 2]
    assert len(index.search(["b"] * 600, 1)) == 600, "more queries than are compared at once"
