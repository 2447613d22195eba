"""AnswerDotAI's rerankers: one client for five dialects."""

import pytest
from rerankers import Reranker
from rerankers.models.api_rankers import APIRanker

from tests.clients.asked import MODEL, WRONG_KEY, Asked

PATHS = {
    "cohere": "/v1/rerank",
    "jina": "/v1/rerank",
    "voyage": "/v1/rerank",
    "mixedbread.ai": "/v1/reranking",
    "text-embeddings-inference": "/rerank",
}


def ranker(provider: str, url: str, key: str) -> APIRanker:
    address = f"{url}{PATHS[provider]}"
    return Reranker(MODEL, model_type="APIRanker", api_provider=provider, api_key=key, url=address, verbose=0)


@pytest.mark.parametrize("provider", PATHS)
def test_documents_come_in_order_with_their_scores(url: str, key: str, asked: Asked, provider: str) -> None:
    found = ranker(provider, url, key).rank(asked.query, asked.documents)
    asked.check((result.doc_id, result.score) for result in found.results)
    assert [result.rank for result in found.results] == list(range(1, len(asked.documents) + 1))
    assert [result.text for result in found.top_k(2)] == [asked.documents[c] for c in asked.best[:2]]


@pytest.mark.parametrize("provider", PATHS)
def test_a_wrong_key_fails(url: str, korean: Asked, provider: str) -> None:
    # It looks at no status: what it fails on are the results that an error does not have.
    with pytest.raises((KeyError, TypeError)):
        ranker(provider, url, WRONG_KEY).rank(korean.query, korean.documents)
