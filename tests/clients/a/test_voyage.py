"""voyageai, the SDK."""

import pytest
import voyageai

from tests.clients.asked import MODEL, WRONG_KEY, Asked


def test_all_documents_come_in_order_with_their_scores(url: str, key: str, asked: Asked) -> None:
    client = voyageai.Client(api_key=key, base_url=f"{url}/v1")
    answer = client.rerank(asked.query, asked.documents, model=MODEL)
    asked.check((result.index, result.relevance_score) for result in answer.results)
    assert answer.total_tokens > 0


def test_top_k_is_honoured(url: str, key: str, asked: Asked) -> None:
    client = voyageai.Client(api_key=key, base_url=f"{url}/v1")
    answer = client.rerank(asked.query, asked.documents, model=MODEL, top_k=2)
    asked.check_texts(((result.document, result.relevance_score) for result in answer.results), top=2)


def test_a_wrong_key_is_an_authentication_error(url: str, korean: Asked) -> None:
    client = voyageai.Client(api_key=WRONG_KEY, base_url=f"{url}/v1")
    with pytest.raises(voyageai.error.AuthenticationError, match="holds no key"):
        client.rerank(korean.query, korean.documents, model=MODEL)
