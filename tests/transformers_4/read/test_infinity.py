"""A model folder of crossrank in infinity, as its server runs it: the logits are crossrank's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.transformers_4.handed_over import Model
from tests.transformers_4.read.test_scores import KNOWN, assert_same, name

infinity = pytest.importorskip("infinity_emb", reason="it pins another transformers than this environment has")
JOINED = [each for each in KNOWN if each.prompt is None and each.family != "gemma2"]
"""Families that it can ask: it joins a pair as the tokenizer does, and takes the attention that transformers does."""


@pytest.mark.parametrize("model", JOINED, ids=name)
def test_infinity_gives_the_logits_of_crossrank(model: Model) -> None:
    assert_same(asyncio.run(logits(model, bettertransformer=False)), model)


@pytest.mark.parametrize("model", [each for each in JOINED if each.family == "bert"], ids=name)
def test_infinity_gives_them_by_its_own_attention_too(model: Model) -> None:
    assert_same(asyncio.run(logits(model, bettertransformer=True)), model)


async def logits(model: Model, *, bettertransformer: bool) -> list[float]:
    """Each pair as a request of its own."""
    engine: Any = infinity.AsyncEngineArray.from_args(
        [
            infinity.EngineArgs(
                model_name_or_path=model.folder,
                engine="torch",
                device="cpu",
                bettertransformer=bettertransformer,
                compile=False,
                model_warmup=False,
            )
        ]
    )[0]
    await engine.astart()
    try:
        found = [await engine.rerank(query=query, docs=[document], raw_scores=True) for query, document in model.pairs]
    finally:
        await engine.astop()
    return [float(results[0].relevance_score) for results, _ in found]
