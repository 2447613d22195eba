"""A request that is tokenised in many steps has the pairs of one that is tokenised in one.

How it could fail users: the score of a long document depends on where the server paused; a document is missing, or has
the tokens of its neighbour; a refusal names the wrong one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from crossrank.scoring.pair_scorer import PairScorer
from crossrank.serving import encode as encode_module
from crossrank.serving import incremental
from crossrank.serving.encode import EncodedRequest, encode, encoding
from crossrank.serving.errors import Invalid
from crossrank.serving.request import Cutting, ScoringRequest
from tests.model.tiny_models import FAMILIES, TEXTS

Load = Callable[[str], PairScorer]

LONG = " ".join(TEXTS * 3)
CUTTINGS = {
    "right": Cutting(),
    "left": Cutting(side="left"),
    "chunks": Cutting(long_document="chunk_max"),
    "few chunks": Cutting(long_document="chunk_max", max_chunks_per_document=3, side="left"),
}


@pytest.fixture(scope="module")
def load(tiny: Callable[[str], Path]) -> Load:
    return cache(lambda family: PairScorer.load(str(tiny(family)), device="cpu", max_length=320))


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def shorten() -> None:
        monkeypatch.setattr(incremental, "STEP_CHARACTERS", 300)
        monkeypatch.setattr(incremental, "SEAM_CHARACTERS", 100)
        monkeypatch.setattr(encode_module, "STEP_PIECES", 2)

    return shorten


def told(encoded: EncodedRequest) -> Any:
    return (
        [ids.tolist() for ids in encoded.ids_U],
        encoded.first_U.tolist(),
        encoded.document_U.tolist(),
        encoded.cut_C.tolist(),
        encoded.query_cut,
        encoded.num_text_tokens,
    )


def num_steps(ask: ScoringRequest, reranker: PairScorer) -> int:
    return sum(1 for _ in encoding(ask, reranker.encoder)) + 1


@pytest.mark.parametrize("cutting", CUTTINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_steps_change_nothing(family: str, cutting: str, load: Load, short_steps: Callable[[], None]) -> None:
    reranker = load(family)
    documents = (*TEXTS, LONG, "", "x", *TEXTS[:5], LONG[9:])
    ask = ScoringRequest(queries=(TEXTS[0],), documents=documents, cutting=CUTTINGS[cutting])
    whole = told(encode(ask, reranker.encoder))
    assert num_steps(ask, reranker) == 1
    short_steps()
    assert num_steps(ask, reranker) > 20
    assert told(encode(ask, reranker.encoder)) == whole


@pytest.mark.parametrize("family", ["bert", "qwen3"])
def test_pair_by_pair_each_document_keeps_its_query(family: str, load: Load, short_steps: Callable[[], None]) -> None:
    reranker = load(family)
    queries = tuple(f"{n} {text}" for n, text in enumerate(TEXTS))
    ask = ScoringRequest(queries=(*queries, LONG), documents=(*TEXTS, "x"), cutting=Cutting(query=True))
    whole = told(encode(ask, reranker.encoder))
    short_steps()
    assert told(encode(ask, reranker.encoder)) == whole


def test_a_document_that_may_not_be_cut_is_named_by_its_place_in_the_request(
    load: Load, short_steps: Callable[[], None]
) -> None:
    short_steps()
    ask = ScoringRequest(queries=("q",), documents=(*TEXTS, LONG), cutting=Cutting(documents=False))
    with pytest.raises(Invalid, match=f"^document {len(TEXTS)} has "):
        encode(ask, load("bert").encoder)
