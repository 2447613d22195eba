"""Haystack's rankers for text-embeddings-inference, over HTTP, and for Jina."""

import pytest
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker, TruncationDirection
from haystack_integrations.components.rankers.jina import JinaRanker

from tests.clients.asked import MODEL, WRONG_KEY, Asked


def documents(asked: Asked) -> list[Document]:
    return [Document(content=text) for text in asked.documents]


@pytest.mark.parametrize("raw_scores", [False, True])
def test_tei_gets_probabilities_or_raw_scores(url: str, key: str, asked: Asked, raw_scores: bool) -> None:
    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(key), raw_scores=raw_scores)
    found = ranker.run(asked.query, documents(asked))["documents"]
    asked.check(((asked.documents.index(each.content), each.score) for each in found), logits=raw_scores)


@pytest.mark.parametrize("direction", list(TruncationDirection))
def test_tei_says_which_end_to_cut_and_keeps_the_top(
    url: str, key: str, asked: Asked, direction: TruncationDirection
) -> None:
    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(key), top_k=2)
    found = ranker.run(asked.query, documents(asked), truncation_direction=direction)["documents"]
    asked.check_texts(((each.content, each.score) for each in found), top=2)


def test_tei_fails_with_a_wrong_key(url: str, korean: Asked) -> None:
    ranker = HuggingFaceTEIRanker(url=url, token=Secret.from_token(WRONG_KEY))
    with pytest.raises(RuntimeError, match=r"(?s)401.*holds no key"):
        ranker.run(korean.query, documents(korean))


@pytest.mark.parametrize("top_k", [None, 2])
def test_jina_gets_documents_model_and_usage(url: str, key: str, asked: Asked, top_k: int | None) -> None:
    ranker = JinaRanker(base_url=f"{url}/v1/rerank", api_key=Secret.from_token(key), model=MODEL, top_k=top_k)
    answer = ranker.run(asked.query, documents(asked))
    asked.check_texts(((each.content, each.score) for each in answer["documents"]), top=top_k)
    assert answer["meta"]["model"] == MODEL
    assert answer["meta"]["usage"]["total_tokens"] > 0


def test_jina_raises_the_detail_with_a_wrong_key(url: str, korean: Asked) -> None:
    ranker = JinaRanker(base_url=f"{url}/v1/rerank", api_key=Secret.from_token(WRONG_KEY), model=MODEL)
    with pytest.raises(RuntimeError, match="holds no key"):
        ranker.run(korean.query, documents(korean))
