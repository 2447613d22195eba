"""Held-out groups measured without a model: ties, and what the first stage was worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank.corpus.source import CorpusSource
from crossrank.training.groups import GroupStore
from crossrank.training.validation import initial_order, measure
from tests.unit.training.conftest import Source, doc, group

GUESS = 0.340
"""MRR@10 of one in eight: (1 + 1/2 + ... + 1/8) / 8."""
TEXTS = [f"negative {n}" for n in range(7)]


def constant(groups: GroupStore, some: Sequence[int]) -> list[NDArray[np.float32]]:
    """A model that cannot tell documents apart."""
    return [np.zeros(len(groups.documents(each).rows_D), dtype=np.float32) for each in some]


def test_a_model_that_gives_every_document_one_score_is_worth_a_guess_though_positives_stand_first(
    source: Source,
) -> None:
    lines = [
        group(f"q{n}", doc(f"p{n}", 1), *(doc(f"n{n}-{place}", 0, text) for place, text in enumerate(TEXTS)))
        for n in range(2000)
    ]
    found = measure(source("".join(lines), "validate").open(), constant)
    assert found.means()["mrr@10"] == pytest.approx(GUESS, abs=0.02), "1.0 in the order of the list"
    assert found.tie_rate == 1


def test_documents_that_the_corpus_has_tie_by_the_same_hash_as_those_that_bring_their_text(
    source: Source, tmp_path: Path
) -> None:
    rows = [{"_id": f"d{place}", "text": text} for place, text in enumerate(["the positive", *TEXTS])]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    uri = str(tmp_path / "c.jsonl")
    corpus = CorpusSource(uri, CorpusSource.fingerprint_of(uri))

    def lines(*texts: str | None) -> str:
        docs = [doc(f"d{place}", int(place == 0), text) for place, text in enumerate(texts)]
        return "".join(group(f"q{n}", *docs) for n in range(2000))

    named = measure(source(lines(*[None] * 8), "validate", corpus=corpus).open(), constant)
    assert named.means()["mrr@10"] == pytest.approx(GUESS, abs=0.02)
    assert named.values == measure(source(lines("the positive", *TEXTS), "validate").open(), constant).values


def test_mined_groups_tie_by_the_ranks_of_their_negatives_so_that_a_constant_model_finds_the_positive_last(
    source: Source,
) -> None:
    """The search that found the negatives ranks them, and the positives have no rank."""
    mined = [doc(f"d{place}", 0, text, rank=place) for place, text in enumerate(TEXTS, 1)]
    store = source("".join(group(f"q{n}", doc("d0", 1, "x"), *mined) for n in range(20)), "validate").open()
    assert measure(store, constant).means()["mrr@10"] == pytest.approx(1 / 8), "1.0 by the list"
    assert not store.all_ranked, "so that no row without a reranker is shown"


def test_with_ranks_ties_keep_them_and_the_row_without_a_reranker_is_by_rank_and_not_by_the_list(
    source: Source,
) -> None:
    docs = [doc("a", 1, rank=3), doc("b", 0, rank=1), doc("c", None, rank=2)]
    store = source(group("q1", *docs), "validate").open()
    assert store.all_ranked
    for score in (constant, initial_order):
        assert measure(store, score).values["mrr@10"] == pytest.approx([1 / 3])


def test_scores_decide_before_any_order(source: Source) -> None:
    store = source(group("q1", doc("a", 1), doc("b", 0), doc("c", 0)), "validate").open()

    def by_label(groups: GroupStore, some: Sequence[int]) -> list[NDArray[np.float32]]:
        return [groups.documents(each).labels_D.astype(np.float32) for each in some]

    assert measure(store, by_label).values["mrr@10"] == [1]


def test_what_is_trained_on_keeps_the_order_of_its_list(source: Source) -> None:
    """Of it the sampler draws: a run that goes on draws what it would have drawn."""
    content = group("q1", doc("a", 1), *(doc(f"n{n}", 0) for n in range(9)))
    store = source(content).open()
    assert store.texts(store.documents(0).rows_D.tolist()) == ["text of a", *(f"text of n{n}" for n in range(9))]
