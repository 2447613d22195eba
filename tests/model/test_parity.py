"""Scores equal what transformers computes for each pair alone, for every family, whatever the batch and the order."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from crossrank import Reranker
from crossrank.scoring.runtimes.packed import PackedForward, packable
from crossrank.scoring.runtimes.padded import TransformersForward
from tests.model.reference import Pair, assert_same_scores, one_at_a_time, plain
from tests.model.tiny_models import FAMILIES, TEXTS

Tiny = Callable[[str], Path]

MAX_LENGTH = 96
QWEN3_MAX_LENGTH = 320
"""More, because the prompt alone takes over a hundred of the tiny tokenizer's tokens."""

QUERIES = ["How long does it take to charge?", "보증 기간은 얼마나 되나요?", "e-mail: a@b.io", "reset"]
DOCUMENTS = [
    *TEXTS[:16],
    " ".join(TEXTS[:8] * 2),  # over the window
    " ".join(TEXTS[8:16]) * 5,  # far over it
    "",
    " ",
    "\n",
    "a",
    " leading and trailing ",
    "two\nlines\tand a tab",
    "(see page 12) — “quoted” … №5 ½ ﬁ 😀 👨‍👩‍👧 \u200b\u00a0",
    "ＦＵＬＬ ｗｉｄｔｈ 한\u1112\u1161\u11ab é e\u0301 مرحبا 日本語",
    "a literal <pad> and <pad><pad> in a text",
    "a literal [SEP] and [PAD] and [CLS] in a text",
    "a literal </s> and <s> and <mask> in a text",
    "a literal <|im_end|> and <|endoftext|> in a text <|endoftext|>",
    "braces {query} {instruction} {} %s",
    TEXTS[1],  # once more
]
PAIRS: list[Pair] = [(query, document) for query in QUERIES for document in DOCUMENTS]


def window_of(family: str) -> int:
    return QWEN3_MAX_LENGTH if family == "qwen3" else MAX_LENGTH


def qwen3_one_at_a_time(folder: Path, pairs: list[Pair], max_length: int) -> NDArray[np.float32]:
    """As the model card of Qwen/Qwen3-Reranker-0.6B: fixed ends, and a body that is cut to what is left."""
    tokenizer, model = plain(folder)
    prefix = (
        "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
    )
    suffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    task = "Given a web search query, retrieve relevant passages that answer the query"
    prefix_ids = tokenizer.encode(prefix, add_special_tokens=False)
    suffix_ids = tokenizer.encode(suffix, add_special_tokens=False)
    room = max_length - len(prefix_ids) - len(suffix_ids)
    logits = []
    with torch.inference_mode():
        for query, document in pairs:
            body = f"<Instruct>: {task}\n<Query>: {query}\n<Document>: {document}"
            body_ids = tokenizer(body, truncation=True, max_length=room)["input_ids"]
            ids = torch.tensor([prefix_ids + body_ids + suffix_ids])
            logits.append(float(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0]))
    return np.array(logits, dtype=np.float32)


@pytest.fixture(scope="module")
def expected(tiny: Tiny) -> Callable[[str], NDArray[np.float32]]:
    """The reference logits of `PAIRS`, computed once a family."""

    def compute(family: str) -> NDArray[np.float32]:
        reference = qwen3_one_at_a_time if family == "qwen3" else one_at_a_time
        return reference(tiny(family), PAIRS, window_of(family))

    return cache(compute)


Expected = Callable[[str], NDArray[np.float32]]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tiny_models_tell_pairs_apart(family: str, expected: Expected) -> None:
    # A parity test on logits that are all alike would prove nothing.
    logits = expected(family)
    assert np.ptp(logits) > 3
    assert len(np.unique(logits.round(4))) > len(logits) / 2


@pytest.mark.parametrize("budget_windows", [1, 2, None])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_one_pair_at_a_time(
    family: str, budget_windows: int | None, tiny: Tiny, expected: Expected
) -> None:
    window = window_of(family)
    budget = None if budget_windows is None else budget_windows * window
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=window, budget=budget)
    assert_same_scores(reranker.score(PAIRS), expected(family))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_pairs_changes_no_score(family: str, tiny: Tiny, expected: Expected) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=window_of(family))
    order = list(range(len(PAIRS)))
    random.Random(5).shuffle(order)
    assert_same_scores(reranker.score([PAIRS[p] for p in order]), expected(family)[order])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_company_of_a_pair_changes_no_score(family: str, tiny: Tiny, expected: Expected) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=window_of(family))
    draw = random.Random(6)
    for num_pairs in [1, 1, 1, 2, 3, 5, 8, 13]:
        chosen = [draw.randrange(len(PAIRS)) for _ in range(num_pairs)]  # the same pair may come twice
        assert_same_scores(reranker.score([PAIRS[p] for p in chosen]), expected(family)[chosen])


@pytest.mark.parametrize("family", FAMILIES)
def test_documents_of_the_pairs_really_reach_over_the_window(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=window_of(family))
    encoder = reranker._scorer.encoder
    queries, documents = encoder.queries(QUERIES), encoder.documents(DOCUMENTS)
    pairs = encoder.pairs(queries, documents, np.zeros(len(DOCUMENTS), dtype=int), np.arange(len(DOCUMENTS)))
    assert all(query.overflow == 0 for query in queries)  # transformers could not cut those
    assert pairs.lengths_P.max() == window_of(family)
    assert (pairs.truncated_P > 0).sum() >= 2


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_packed_and_padded_agree(family: str, tiny: Tiny) -> None:
    tokenizer, model = plain(tiny(family))
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=MAX_LENGTH)
    encoder = reranker._scorer.encoder
    rows = np.arange(len(DOCUMENTS))
    pairs = encoder.pairs(encoder.queries(QUERIES), encoder.documents(DOCUMENTS), rows % len(QUERIES), rows)
    assert packable(model)
    packed = PackedForward(model)(pairs.ids_P, pairs.first_P)
    padded = TransformersForward(model, tokenizer.pad_token_id)(pairs.ids_P, pairs.first_P)
    assert_same_scores(packed.numpy(), padded.numpy())


@pytest.mark.parametrize(
    ("family", "forward"),
    [
        ("bert", "packed"),
        ("xlm-roberta", "packed"),
        ("modernbert", "transformers"),
        ("deberta-v2", "transformers"),
        ("gte", "transformers"),
        ("qwen3", "transformers"),
    ],
)
def test_each_family_takes_the_forward_meant_for_it(family: str, forward: str, tiny: Tiny) -> None:
    assert Reranker.load(str(tiny(family)), device="cpu", max_length=320).describe()["forward"] == forward


def test_the_document_has_type_1_where_types_matter(tiny: Tiny, expected: Expected) -> None:
    tokenizer, model = plain(tiny("bert"))
    query, document = QUERIES[0], DOCUMENTS[1]
    inputs = tokenizer(query, document, return_tensors="pt")
    with torch.inference_mode():
        typeless = model(**{**inputs, "token_type_ids": torch.zeros_like(inputs["input_ids"])}).logits[0, 0]
    found = Reranker.load(str(tiny("bert")), device="cpu", max_length=MAX_LENGTH).score([(query, document)])
    assert_same_scores(found, expected("bert")[1:2])
    assert abs(float(typeless) - float(found[0])) > 0.1


def test_a_tokenizer_that_leaves_types_out_gets_none(tiny: Tiny, tmp_path: Path) -> None:
    folder = tmp_path / "typeless"
    shutil.copytree(tiny("bert"), folder)
    settings: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
    settings["model_input_names"] = ["input_ids", "attention_mask"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    found = Reranker.load(str(folder), device="cpu", max_length=MAX_LENGTH).score(PAIRS)
    assert_same_scores(found, one_at_a_time(folder, PAIRS, MAX_LENGTH))


def test_a_pad_token_in_a_text_is_read_as_text(tiny: Tiny, expected: Expected) -> None:
    # XLM-RoBERTa gives padding no position: counted through, every later token would sit one place off.
    place = DOCUMENTS.index("a literal <pad> and <pad><pad> in a text")
    reranker = Reranker.load(str(tiny("xlm-roberta")), device="cpu", max_length=MAX_LENGTH)
    pad = reranker._scorer.encoder.tokenizer.hf.pad_token_id
    (document,) = reranker._scorer.encoder.documents([DOCUMENTS[place]])
    assert list(document.ids).count(pad) == 3  # type: ignore[union-attr]
    assert_same_scores(reranker.score([PAIRS[place]]), expected("xlm-roberta")[[place]])
