"""The truncation `longest_first`, which a model brings along in its config.json.

How it could fail users: a pair is cut otherwise than in training, so every long score is a little wrong; tokens are cut
and not counted; a model that says nothing is cut the new way; a way that is not known is taken for one that is; the
server cuts otherwise than a job.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoConfig

from crossrank import Reranker
from crossrank.errors import ModelRefused, SettingsError
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder, Tokenizer, Truncation
from crossrank.scoring.prompts import QWEN3
from crossrank.scoring.truncation import remember_truncation, saved_truncation
from crossrank.serving.encode import EncodedRequest, encode, query_limit
from crossrank.serving.errors import Invalid
from crossrank.serving.request import Cutting, ScoringRequest
from tests.model.reference import Pair, assert_same_scores, one_at_a_time, plain
from tests.model.tiny_models import TEXTS, bert_tokenizer, qwen3_tokenizer, xlm_roberta_tokenizer

Tiny = Callable[[str], Path]

TOKENIZERS: dict[str, Callable[[], Any]] = {"bert": cache(bert_tokenizer), "xlm-roberta": cache(xlm_roberta_tokenizer)}
WINDOWS = [8, 9, 12, 13]
"""Even and odd. BERT puts 3 special tokens around a pair and XLM-RoBERTa 4, so what they leave is odd and even too."""
LENGTHS = [*range(16), 25, 40]
"""Tokens of a text: none, both sides of half of each window and of the whole, far over it."""
MAX_LENGTH = 33
LONG = " ".join(TEXTS[:6])

two = pytest.mark.parametrize("family", TOKENIZERS)


def texts_of_length(hf_tokenizer: Any, offset: int) -> list[str]:
    """For each of `LENGTHS` a text of so many tokens, every word of it one."""
    words = [word for text in TEXTS for word in text.split() if len(hf_tokenizer.tokenize(word)) == 1]
    found = [" ".join((words[offset:] + words * 2)[:length]) for length in LENGTHS]
    assert [len(hf_tokenizer.tokenize(text)) for text in found] == LENGTHS
    return found


def pairs_of(encoder: SpliceEncoder | PromptEncoder, pairs: list[Pair]) -> EncodedPairs:
    queries, documents = encoder.queries([q for q, _ in pairs]), encoder.documents([d for _, d in pairs])
    return encoder.pairs(queries, documents, np.arange(len(pairs)), np.arange(len(pairs)))


def types_of(pairs: EncodedPairs) -> list[list[int]]:
    return [
        [0] * first + [1] * (len(ids) - first) for ids, first in zip(pairs.ids_P, pairs.first_P.tolist(), strict=True)
    ]


# token ids


@pytest.mark.parametrize("max_length", WINDOWS)
@two
def test_ids_types_and_counts_are_those_of_transformers(family: str, max_length: int) -> None:
    hf = TOKENIZERS[family]()
    queries, documents = texts_of_length(hf, 0), texts_of_length(hf, 5)
    grid = [(query, document) for query in queries for document in documents]
    # In a batch, where an empty document is one too. Before the encoder, which takes the truncation off again.
    whole = hf([q for q, _ in grid], [d for _, d in grid], add_special_tokens=True)
    expected = hf([q for q, _ in grid], [d for _, d in grid], truncation="longest_first", max_length=max_length)
    found = pairs_of(SpliceEncoder(Tokenizer(hf), max_length, "m", "longest_first"), grid)
    assert [ids.tolist() for ids in found.ids_P] == expected["input_ids"]
    cut_P = [len(before) - len(after) for before, after in zip(whole["input_ids"], expected["input_ids"], strict=True)]
    assert found.truncated_P.tolist() == cut_P
    assert max(found.lengths_P) == max_length
    # A tokenizer without types says nothing of them, and the model is given none.
    assert types_of(found) == expected.get("token_type_ids", [[0] * len(ids) for ids in found.ids_P])
    assert ("token_type_ids" in expected) == (family == "bert")


@two
def test_a_text_is_cut_by_what_it_is_beside(family: str) -> None:
    # One query with all documents and one document with all queries, as a job has them.
    hf = TOKENIZERS[family]()
    queries, documents = texts_of_length(hf, 0), texts_of_length(hf, 5)
    encoder = SpliceEncoder(Tokenizer(hf), 12, "m", "longest_first")
    query_P, document_P = (places.ravel() for places in np.indices((len(queries), len(documents))))
    found = encoder.pairs(encoder.queries(queries), encoder.documents(documents), query_P, document_P)
    alone = pairs_of(encoder, [(queries[q], documents[d]) for q, d in zip(query_P, document_P, strict=True)])
    assert [ids.tolist() for ids in found.ids_P] == [ids.tolist() for ids in alone.ids_P]
    assert found.truncated_P.tolist() == alone.truncated_P.tolist()


@two
def test_only_queries_are_made_ready_otherwise(family: str) -> None:
    hf = TOKENIZERS[family]()
    default = SpliceEncoder(Tokenizer(hf), 12, "m")
    longest_first = SpliceEncoder(Tokenizer(hf), 12, "m", "longest_first")
    texts = texts_of_length(hf, 0)

    def kept(encoded: list[Any]) -> list[tuple[int, int]]:
        return [(len(tokens.ids), tokens.total) for tokens in encoded]

    assert kept(default.queries(texts)) == [(min(length, 6), length) for length in LENGTHS]
    assert kept(longest_first.queries(texts)) == [(min(length, 12), length) for length in LENGTHS]
    assert kept(longest_first.documents(texts)) == kept(default.documents(texts))
    # So the tokens of a corpus that were kept for one serve the other.
    assert longest_first.store_key == default.store_key
    assert longest_first.query_limit == default.query_limit


def test_a_prompt_refuses_it() -> None:
    with pytest.raises(SettingsError, match=r"truncation is longest_first, .* use only_second"):
        PromptEncoder(Tokenizer(qwen3_tokenizer()), 320, QWEN3, None, "longest_first")


# saved with the model


@pytest.fixture
def saved(tiny: Tiny, tmp_path: Path) -> Callable[..., Path]:
    """Makes a copy of the tiny model of a family whose config remembers a truncation."""

    def make(family: str, truncation: Truncation = "longest_first") -> Path:
        folder = Path(shutil.copytree(tiny(family), tmp_path / family))
        config = AutoConfig.from_pretrained(folder)
        remember_truncation(config, truncation, MAX_LENGTH)
        config.save_pretrained(folder)
        return folder

    return make


def reconfigure(folder: Path, value: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"crossrank": value}))


def longest_first_one_at_a_time(folder: Path, pairs: list[Pair]) -> NDArray[np.float32]:
    tokenizer, model = plain(folder)
    logits = []
    with torch.inference_mode():
        for query, document in pairs:
            inputs = tokenizer(
                [query], [document], truncation="longest_first", max_length=MAX_LENGTH, return_tensors="pt"
            )
            logits.append(float(model(**inputs).logits[0, 0]))
    return np.array(logits, dtype=np.float32)


TEXTS_OF_PAIRS = ["reset", TEXTS[0], TEXTS[9], LONG, " ".join(TEXTS[8:16]), ""]
PAIRS: list[Pair] = [(query, document) for query in TEXTS_OF_PAIRS for document in TEXTS_OF_PAIRS]


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "modernbert", "deberta-v2"])
def test_a_model_that_remembers_it_scores_as_transformers_does(family: str, saved: Callable[..., Path]) -> None:
    folder = saved(family)
    reranker = Reranker.load(str(folder), device="cpu", max_length=MAX_LENGTH)
    assert reranker.describe()["truncation"] == "longest_first"
    assert_same_scores(reranker.score(PAIRS), longest_first_one_at_a_time(folder, PAIRS))


def test_the_two_ways_of_cutting_give_other_scores(tiny: Tiny, saved: Callable[..., Path]) -> None:
    # Else the parity above would prove nothing. Not BERT: its vocabulary, and so its logits, change from run to run.
    longest_first = Reranker.load(str(saved("xlm-roberta")), device="cpu", max_length=MAX_LENGTH).score(PAIRS)
    default = Reranker.load(str(tiny("xlm-roberta")), device="cpu", max_length=MAX_LENGTH).score(PAIRS)
    differ = {pair for pair, a, b in zip(PAIRS, longest_first, default, strict=True) if abs(a - b) > 0.01}
    assert {(LONG, "reset"), (LONG, ""), (LONG, LONG)} <= differ
    assert not {(query, document) for query, document in differ if query in ("reset", "")}


def test_what_was_cut_is_counted(saved: Callable[..., Path]) -> None:
    reranker = Reranker.load(str(saved("bert")), device="cpu", max_length=MAX_LENGTH)
    encoder = reranker._scorer.encoder
    long, short = map(len, encoder.tokenizer([LONG, "reset"]))
    texts = [LONG, "reset"]
    scored = reranker._scorer.score_encoded(
        encoder.queries(texts), encoder.documents(texts), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    )
    room = MAX_LENGTH - 3
    assert scored.truncated_P.tolist() == [2 * long - room, long + short - room, long + short - room, 0]
    reranker.score([(LONG, "reset"), ("reset", LONG), ("reset", "reset")])
    assert reranker.cut == {"documents_cut": 2, "queries_cut": 1}


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_model_that_remembers_nothing_is_cut_as_before(family: str, tiny: Tiny) -> None:
    reranker = Reranker.load(str(tiny(family)), device="cpu", max_length=MAX_LENGTH)
    assert reranker.describe()["truncation"] == "only_second"
    pairs = [(query, document) for query, document in PAIRS if query in ("reset", TEXTS[0], "")]
    assert all(query.overflow == 0 for query in reranker._scorer.encoder.queries([query for query, _ in pairs]))
    assert_same_scores(reranker.score(pairs), one_at_a_time(tiny(family), pairs, MAX_LENGTH))


def test_transformers_keeps_what_a_model_remembers(tiny: Tiny, tmp_path: Path) -> None:
    _, model = plain(tiny("bert"))
    remember_truncation(model.config, "longest_first", 512)
    model.save_pretrained(tmp_path / "once")
    _, again = plain(tmp_path / "once")
    again.save_pretrained(tmp_path / "twice")
    for name in ("once", "twice"):
        config = json.loads((tmp_path / name / "config.json").read_text())
        assert config["crossrank"] == {"truncation": "longest_first", "max_length": 512}


def test_training_the_default_way_forgets_how_the_base_was_cut(saved: Callable[..., Path]) -> None:
    folder = saved("bert")
    config = AutoConfig.from_pretrained(folder)
    remember_truncation(config, "only_second", 128)
    config.save_pretrained(folder)
    found = json.loads((folder / "config.json").read_text())
    assert found["crossrank"] == {"truncation": "only_second", "max_length": 128}
    assert Reranker.load(str(folder), device="cpu").describe()["truncation"] == "only_second"


def test_the_revision_of_a_model_changes_with_it(saved: Callable[..., Path]) -> None:
    # So a job that was begun with one way of cutting is not gone on with in the other.
    folder = saved("bert", "only_second")
    before = Reranker.load(str(folder), device="cpu").revision
    reconfigure(folder, {"truncation": "longest_first"})
    assert Reranker.load(str(folder), device="cpu").revision != before


@pytest.mark.parametrize("value", [None, {}, {"max_length": 512}, {"truncation": "only_second"}])
def test_a_config_that_does_not_say_longest_first_means_only_second(value: Any) -> None:
    assert saved_truncation({"crossrank": value}, "m") == "only_second"
    assert saved_truncation({}, "m") == "only_second"


@pytest.mark.parametrize("value", ["only_first", "", None, 3, ["longest_first"], {"truncation": "longest_first"}])
def test_a_truncation_that_is_not_known_is_refused(value: Any, saved: Callable[..., Path]) -> None:
    folder = saved("bert")
    reconfigure(folder, {"truncation": value})
    with pytest.raises(ModelRefused) as refused:
        Reranker.load(str(folder), device="cpu")
    assert str(refused.value) == (
        f"config.json of {folder} has the truncation {value!r}, and crossrank knows only_second and longest_first; "
        f"set it right or update crossrank"
    )


@pytest.mark.parametrize("value", ["longest_first", [], 0, False])
def test_a_note_that_is_no_object_is_refused(value: Any, saved: Callable[..., Path]) -> None:
    folder = saved("bert")
    reconfigure(folder, value)
    with pytest.raises(ModelRefused, match="under 'crossrank', which is an object with the key truncation"):
        Reranker.load(str(folder), device="cpu")


def test_a_model_with_a_prompt_that_remembers_it_is_refused(saved: Callable[..., Path]) -> None:
    with pytest.raises(SettingsError, match="truncation is longest_first"):
        Reranker.load(str(saved("qwen3")), device="cpu", max_length=320)


# the server


def encoder_of(family: str, max_length: int, truncation: Truncation) -> SpliceEncoder:
    return SpliceEncoder(Tokenizer(TOKENIZERS[family]()), max_length, "m", truncation)


def same(one: EncodedRequest, other: EncodedRequest) -> bool:
    return (
        [ids.tolist() for ids in one.ids_U] == [ids.tolist() for ids in other.ids_U]
        and one.first_U.tolist() == other.first_U.tolist()
        and one.document_U.tolist() == other.document_U.tolist()
        and one.cut_C.tolist() == other.cut_C.tolist()
        and one.query_cut == other.query_cut
    )


@pytest.mark.parametrize("max_length", WINDOWS)
@two
def test_a_request_has_the_pairs_that_a_job_has(family: str, max_length: int) -> None:
    encoder = encoder_of(family, max_length, "longest_first")
    hf = TOKENIZERS[family]()
    documents = texts_of_length(hf, 5)
    room = max_length - encoder.num_special
    limit = query_limit(encoder)
    assert limit == room // 2
    for query, length in zip(texts_of_length(hf, 0), LENGTHS, strict=True):
        ask = ScoringRequest(queries=(query,), documents=tuple(documents))
        if length > limit:
            with pytest.raises(Invalid, match=f"the query has {length} tokens, over its limit of {limit}"):
                encode(ask, encoder)
            continue
        encoded = encode(ask, encoder)
        expected = pairs_of(encoder, [(query, document) for document in documents])
        assert [ids.tolist() for ids in encoded.ids_U] == [ids.tolist() for ids in expected.ids_P]
        assert encoded.first_U.tolist() == expected.first_P.tolist()
        # Of the documents alone, because the query is whole.
        assert encoded.cut_C.tolist() == expected.truncated_P.tolist()
        assert encoded.cut_C.tolist() == [max(0, document - (room - length)) for document in LENGTHS]


@pytest.mark.parametrize(
    "cutting",
    [
        Cutting(side="left"),
        Cutting(long_document="chunk_max"),
        Cutting(long_document="chunk_max", max_chunks_per_document=2, side="left"),
        Cutting(max_tokens_per_document=7),
        Cutting(query=True, max_tokens_per_query=2),
    ],
)
@two
def test_what_a_request_asks_for_is_done_as_for_any_model(family: str, cutting: Cutting) -> None:
    hf = TOKENIZERS[family]()
    for query, length in zip(texts_of_length(hf, 0), LENGTHS, strict=True):
        if length > 4 and not cutting.query:
            continue
        ask = ScoringRequest(queries=(query,), documents=tuple(texts_of_length(hf, 5)), cutting=cutting)
        found = encode(ask, encoder_of(family, 13, "longest_first"))
        assert same(found, encode(ask, encoder_of(family, 13, "only_second")))


@two
def test_a_query_that_may_be_cut_is_cut_to_its_limit_and_leaves_its_room(family: str) -> None:
    hf = TOKENIZERS[family]()
    encoder = encoder_of(family, 13, "longest_first")
    query, document = texts_of_length(hf, 0)[-1], texts_of_length(hf, 5)[-1]
    encoded = encode(ScoringRequest(queries=(query,), documents=(document,), cutting=Cutting(query=True)), encoder)
    limit = query_limit(encoder)
    kept = encoder.tokenizer([query])[0][:limit], encoder.tokenizer([document])[0][: 13 - encoder.num_special - limit]
    assert encoded.ids_U[0].tolist() == [*encoder.before, *kept[0], *encoder.between, *kept[1], *encoder.after]
    assert (encoded.query_cut, encoded.cut_C.tolist()) == (40 - limit, [40 - len(kept[1])])
