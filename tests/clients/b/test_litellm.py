"""litellm.rerank, with each provider that takes an address."""

from typing import Any

import litellm
import pytest

from tests.clients.asked import MODEL, WRONG_KEY, Asked

PROVIDERS = ["cohere", "jina_ai", "hosted_vllm", "infinity", "huggingface", "voyage"]
WITH_DOCUMENTS = [provider for provider in PROVIDERS if provider != "infinity"]
"""litellm sends infinity and vLLM the same request, and reads texts from the one and objects from the other."""


def rerank(asked: Asked, provider: str, api_base: str, key: str, **options: Any) -> litellm.RerankResponse:
    return litellm.rerank(
        model=f"{provider}/{MODEL}",
        query=asked.query,
        documents=asked.documents,
        api_base=api_base,
        api_key=key,
        **options,
    )


def check(asked: Asked, answer: litellm.RerankResponse, top: int | None = None) -> None:
    asked.check(((result["index"], result["relevance_score"]) for result in answer.results), top)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_all_documents_come_in_order_with_their_scores(url: str, key: str, asked: Asked, provider: str) -> None:
    # Without top_n there is nothing in its request for Voyage that would tell it from one for Jina.
    options = {"top_n": len(asked.documents)} if provider == "voyage" else {}
    check(asked, rerank(asked, provider, url, key, return_documents=False, **options))


@pytest.mark.parametrize("provider", WITH_DOCUMENTS)
def test_the_top_documents_come_back_with_their_texts(url: str, key: str, asked: Asked, provider: str) -> None:
    answer = rerank(asked, provider, url, key, top_n=2, return_documents=True)
    check(asked, answer, top=2)
    assert [result["document"]["text"] for result in answer.results] == [asked.documents[c] for c in asked.best[:2]]


def test_cohere_speaks_v1_where_the_address_says_so(url: str, key: str, asked: Asked) -> None:
    answer = rerank(asked, "cohere", f"{url}/v1/rerank", key, max_chunks_per_doc=10)
    check(asked, answer)
    assert answer.meta["api_version"] == {"version": "1"}


def test_infinity_honours_top_n(url: str, key: str, asked: Asked) -> None:
    check(asked, rerank(asked, "infinity", url, key, top_n=2, return_documents=False), top=2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_wrong_key_is_an_authentication_error(url: str, korean: Asked, provider: str) -> None:
    with pytest.raises(litellm.AuthenticationError, match="holds no key"):
        rerank(korean, provider, url, WRONG_KEY)
