"""From a request to token ids.

How it could fail users: a score differs from what the same pair gets in a job; a document is cut where it was not
allowed, or at the wrong end, or with nobody told; tokens are lost between chunks, or read twice; a question is cut in
half quietly; one document's pieces are taken for another's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrank import Reranker
from crossrank.scoring.encoding import EncodedPairs
from crossrank.scoring.pair_scorer import PairScorer
from crossrank.serving.encode import EncodedRequest, encode, query_limit
from crossrank.serving.errors import Invalid
from crossrank.serving.request import Cutting, ScoringRequest
from tests.model.reference import assert_same_scores
from tests.model.tiny_models import FAMILIES, TEXTS

Tiny = Callable[[str], Path]
Load = Callable[[str], PairScorer]

QUERY = "How long does it take to charge?"
LONG = " ".join(TEXTS[:16])

both = pytest.mark.parametrize("family", ["bert", "qwen3"])


@pytest.fixture(scope="module")
def load(tiny: Tiny) -> Load:
    """The tiny reranker of a family, loaded once. Its window is 64 tokens; 320 with a prompt."""
    return cache(
        lambda family: PairScorer.load(str(tiny(family)), device="cpu", max_length=320 if family == "qwen3" else 64)
    )


def as_in_a_job(reranker: PairScorer, pairs: list[tuple[str, str]]) -> EncodedPairs:
    encoder = reranker.encoder
    places = np.arange(len(pairs))
    return encoder.pairs(
        encoder.queries([query for query, _ in pairs]),
        encoder.documents([document for _, document in pairs]),
        places,
        places,
    )


def tokens_of(reranker: PairScorer, text: str) -> list[int]:
    return reranker.encoder.tokenizer([text])[0]


def read_of(reranker: PairScorer, encoded: EncodedRequest, query: str = QUERY) -> list[list[int]]:
    """The tokens of the document in each pair, of a model whose pairs are spliced."""
    head = len(as_in_a_job(reranker, [(query, "")]).ids_P[0]) - 1  # all but the last separator
    return [ids[head:-1].tolist() for ids in encoded.ids_U]


def ask(*documents: str, query: str = QUERY, **cutting: Any) -> ScoringRequest:
    return ScoringRequest(queries=(query,), documents=documents, cutting=Cutting(**cutting))


def word_of_each_token(reranker: PairScorer, num: int) -> str:
    """A text of so many tokens, whose every word is one."""
    text = " ".join(["battery", "dock", "filter", "map"] * num)
    words = [word for word in text.split() if len(tokens_of(reranker, word)) == 1][:num]
    assert len(words) == num
    return " ".join(words)


# the same as in a job


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_request_has_the_pairs_that_a_job_has_cut_documents_included(family: str, load: Load) -> None:
    reranker = load(family)
    documents = [*TEXTS, LONG, LONG[7:], "", " ", "\n", "x"]
    encoded = encode(ask(*documents), reranker.encoder)
    expected = as_in_a_job(reranker, [(QUERY, document) for document in documents])
    assert [ids.tolist() for ids in encoded.ids_U] == [ids.tolist() for ids in expected.ids_P]
    assert encoded.first_U.tolist() == expected.first_P.tolist()
    assert encoded.document_U.tolist() == list(range(len(documents)))
    assert encoded.cut_C.tolist() == pytest.approx(expected.truncated_P.tolist(), abs=2 if family == "qwen3" else 0)
    assert (encoded.cut_C > 0).tolist() == (expected.truncated_P > 0).tolist()
    assert encoded.num_tokens == int(expected.lengths_P.sum())
    assert encoded.query_cut == 0


@both
def test_scores_of_a_request_are_those_of_score(family: str, load: Load) -> None:
    reranker = load(family)
    documents = [*TEXTS, LONG, ""]
    encoded = encode(ask(*documents), reranker.encoder)
    found = reranker.read(reranker.launch(encoded.ids_U, encoded.first_U))
    assert_same_scores(found, Reranker(reranker, {}).score([(QUERY, document) for document in documents]))


@both
def test_pair_by_pair_each_document_has_its_own_query(family: str, load: Load) -> None:
    reranker = load(family)
    pairs = [(TEXTS[7], LONG), (QUERY, TEXTS[1]), ("?", LONG)]
    encoded = encode(
        ScoringRequest(queries=tuple(q for q, _ in pairs), documents=tuple(d for _, d in pairs)), reranker.encoder
    )
    expected = as_in_a_job(reranker, pairs)
    assert [ids.tolist() for ids in encoded.ids_U] == [ids.tolist() for ids in expected.ids_P]


def test_no_documents_are_no_pairs(load: Load) -> None:
    encoded = encode(ask(), load("bert").encoder)
    assert (encoded.ids_U, len(encoded.cut_C), encoded.num_tokens) == ([], 0, 0)


# what is cut off a document


def test_the_right_end_is_cut_and_counted(load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    encoded = encode(ask(LONG, "map"), bert.encoder)
    [read, short] = read_of(bert, encoded)
    assert len(encoded.ids_U[0]) == 64
    assert read == tokens[: len(read)]
    assert encoded.cut_C.tolist() == [len(tokens) - len(read), 0]
    assert short == tokens_of(bert, "map")


def test_with_side_left_the_beginning_is_cut_and_counted(load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    encoded = encode(ask(LONG, side="left"), bert.encoder)
    [read] = read_of(bert, encoded)
    assert len(encoded.ids_U[0]) == 64
    assert read == tokens[-len(read) :]
    assert encoded.cut_C.tolist() == [len(tokens) - len(read)]


def test_a_documents_own_limit_holds_on_either_side(load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    right = encode(ask(LONG, max_tokens_per_document=5), bert.encoder)
    left = encode(ask(LONG, max_tokens_per_document=5, side="left"), bert.encoder)
    assert read_of(bert, right) == [tokens[:5]]
    assert read_of(bert, left) == [tokens[-5:]]
    assert right.cut_C.tolist() == left.cut_C.tolist() == [len(tokens) - 5]


def test_a_limit_beyond_the_window_changes_nothing(load: Load) -> None:
    bert = load("bert")
    with_limit = encode(ask(LONG, max_tokens_per_document=10_000), bert.encoder)
    plain = encode(ask(LONG), bert.encoder)
    assert [ids.tolist() for ids in with_limit.ids_U] == [ids.tolist() for ids in plain.ids_U]
    assert with_limit.cut_C.tolist() == plain.cut_C.tolist()


@both
def test_a_document_that_may_not_be_cut_is_refused_by_its_place(family: str, load: Load) -> None:
    with pytest.raises(Invalid, match=r"document 1 has \d+ tokens, and beside the query the window has room for") as no:
        encode(ask("short", LONG * 2, documents=False), load(family).encoder)
    assert no.value.parameter == "documents"
    assert encode(ask("short", documents=False), load(family).encoder).cut_C.tolist() == [0]


def test_a_document_that_fits_to_the_token_is_not_cut(load: Load) -> None:
    bert = load("bert")
    room = 64 - 3 - len(tokens_of(bert, QUERY))
    fits = word_of_each_token(bert, room)
    assert encode(ask(fits, documents=False), bert.encoder).cut_C.tolist() == [0]
    with pytest.raises(Invalid):
        encode(ask(f"{fits} map", documents=False), bert.encoder)


# chunks


def test_chunks_hold_every_token_of_a_long_document_once(load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    encoded = encode(ask("map", LONG, "dock", long_document="chunk_max"), bert.encoder)
    chunks = read_of(bert, encoded)[1:-1]
    assert len(chunks) > 2
    assert [token for chunk in chunks for token in chunk] == tokens
    assert [len(ids) for ids in encoded.ids_U[1:-2]] == [64] * (len(chunks) - 1)
    assert encoded.document_U.tolist() == [0, *[1] * len(chunks), 2]
    assert encoded.cut_C.tolist() == [0, 0, 0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_limit_of_chunks_keeps_as_many_full_ones_from_the_kept_side(side: str, load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    room = 64 - 3 - len(tokens_of(bert, QUERY))
    encoded = encode(ask(LONG, long_document="chunk_max", max_chunks_per_document=2, side=side), bert.encoder)
    kept = tokens[: 2 * room] if side == "right" else tokens[-2 * room :]
    assert read_of(bert, encoded) == [kept[:room], kept[room:]]
    assert encoded.cut_C.tolist() == [len(tokens) - 2 * room]


def test_chunks_stop_at_the_documents_own_limit(load: Load) -> None:
    bert = load("bert")
    tokens = tokens_of(bert, LONG)
    room = 64 - 3 - len(tokens_of(bert, QUERY))
    cutting: dict[str, Any] = {"long_document": "chunk_max", "max_tokens_per_document": room + 3}
    encoded = encode(ask(LONG, **cutting), bert.encoder)
    assert read_of(bert, encoded) == [tokens[:room], tokens[room : room + 3]]
    assert encoded.cut_C.tolist() == [len(tokens) - room - 3]


def test_a_document_that_fits_is_one_chunk_and_an_empty_one_too(load: Load) -> None:
    encoded = encode(ask("map", "", long_document="chunk_max"), load("bert").encoder)
    assert encoded.document_U.tolist() == [0, 1]


# a model with a prompt


many_bytes = pytest.mark.parametrize("text", [LONG, "👩‍🚀", "é漢字", "x뷁 "], ids=["words", "emoji", "han", "hangul"])
"""Characters that have no token of their own are several: no cut may go through one."""


def document_in(reranker: PairScorer, ids: NDArray[np.int32]) -> str:
    return str(reranker.encoder.tokenizer.hf.decode(ids)).split("<Document>: ")[1].split("<|im_end|>")[0]


@many_bytes
@pytest.mark.parametrize("shift", range(4))
def test_inside_a_prompt_chunks_hold_all_of_the_text(shift: int, text: str, load: Load) -> None:
    qwen3 = load("qwen3")
    document = ("x" * shift + text * 300)[:3_000]
    encoded = encode(ask(document, long_document="chunk_max"), qwen3.encoder)
    assert len(encoded.ids_U) > 2
    assert max(map(len, encoded.ids_U)) <= 320
    assert "".join(document_in(qwen3, ids) for ids in encoded.ids_U) == document
    assert encoded.cut_C.tolist() == [0]


@many_bytes
@pytest.mark.parametrize("side", ["right", "left"])
def test_inside_a_prompt_there_are_no_more_chunks_than_allowed(side: str, text: str, load: Load) -> None:
    qwen3 = load("qwen3")
    document = (text * 300)[:3_000]
    encoded = encode(ask(document, long_document="chunk_max", max_chunks_per_document=2, side=side), qwen3.encoder)
    first, second = (document_in(qwen3, ids) for ids in encoded.ids_U)
    assert document.startswith(first + second) if side == "right" else document.endswith(first + second)
    assert encoded.cut_C[0] > 0


@many_bytes
@pytest.mark.parametrize("shift", range(4))
def test_inside_a_prompt_the_kept_end_is_whole_when_the_beginning_is_cut(shift: int, text: str, load: Load) -> None:
    qwen3 = load("qwen3")
    document = (text * 300)[:3_000] + "x" * shift
    encoded = encode(ask(document, side="left"), qwen3.encoder)
    [ids] = encoded.ids_U
    assert document.endswith(document_in(qwen3, ids))
    assert 310 < len(ids) <= 320
    unread = len(tokens_of(qwen3, document)) - len(tokens_of(qwen3, document_in(qwen3, ids)))
    assert encoded.cut_C[0] == pytest.approx(unread, abs=4)


def test_inside_a_prompt_a_documents_own_limit_is_kept(load: Load) -> None:
    qwen3 = load("qwen3")
    encoded = encode(ask(LONG, max_tokens_per_document=9), qwen3.encoder)
    nothing = encode(ask(""), qwen3.encoder)
    assert len(encoded.ids_U[0]) - len(nothing.ids_U[0]) == pytest.approx(9, abs=1)
    assert encoded.cut_C.tolist() == [len(tokens_of(qwen3, LONG)) - 9]


# queries


@both
def test_a_query_over_its_limit_is_refused_and_one_at_its_limit_is_not(family: str, load: Load) -> None:
    reranker = load(family)
    limit = query_limit(reranker.encoder)
    assert limit == {"bert": 32, "qwen3": 160}[family]
    total = len(tokens_of(reranker, LONG))
    with pytest.raises(Invalid, match=f"the query has {total} tokens, over its limit of {limit}") as refused:
        encode(ask("map", query=LONG), reranker.encoder)
    assert refused.value.parameter == "query"
    if family == "bert":
        assert encode(ask("map", query=word_of_each_token(reranker, 32)), reranker.encoder).query_cut == 0
        with pytest.raises(Invalid):
            encode(ask("map", query=word_of_each_token(reranker, 33)), reranker.encoder)


@both
def test_a_query_that_may_be_cut_is_cut_as_in_a_job_and_counted(family: str, load: Load) -> None:
    reranker = load(family)
    cut_query = ScoringRequest(queries=(LONG,), documents=("map", LONG), cutting=Cutting(query=True))
    encoded = encode(cut_query, reranker.encoder)
    expected = as_in_a_job(reranker, [(LONG, "map"), (LONG, LONG)])
    assert [ids.tolist() for ids in encoded.ids_U] == [ids.tolist() for ids in expected.ids_P]
    assert encoded.query_cut == len(tokens_of(reranker, LONG)) - query_limit(reranker.encoder)


def test_a_query_with_a_limit_of_its_own_is_cut_there(load: Load) -> None:
    bert = load("bert")
    encoded = encode(ask("map", query=LONG, max_tokens_per_query=4), bert.encoder)
    query = tokens_of(bert, LONG)[:4]
    assert encoded.ids_U[0].tolist()[1:5] == query
    assert len(encoded.ids_U[0]) == 3 + 4 + len(tokens_of(bert, "map"))
    assert encoded.query_cut == len(tokens_of(bert, LONG)) - 4


def test_a_cut_query_leaves_its_room_to_the_documents(load: Load) -> None:
    bert = load("bert")
    encoded = encode(ask(LONG, query=LONG, max_tokens_per_query=4), bert.encoder)
    assert len(encoded.ids_U[0]) == 64
    assert encoded.cut_C.tolist() == [len(tokens_of(bert, LONG)) - (64 - 3 - 4)]
