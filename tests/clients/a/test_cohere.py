"""cohere, the SDK: its v2 and its v1 API."""

import cohere
import pytest

from tests.clients.asked import MODEL, WRONG_KEY, Asked


@pytest.fixture
def v2(url: str, key: str) -> cohere.ClientV2:
    return cohere.ClientV2(api_key=key, base_url=url)


@pytest.fixture
def v1(url: str, key: str) -> cohere.Client:
    return cohere.Client(api_key=key, base_url=url)


def test_v2_gets_all_documents_in_order_with_probabilities(v2: cohere.ClientV2, asked: Asked) -> None:
    answer = v2.rerank(model=MODEL, query=asked.query, documents=asked.documents)
    asked.check((result.index, result.relevance_score) for result in answer.results)


def test_v2_gets_the_top_documents_and_what_they_are_billed_as(v2: cohere.ClientV2, asked: Asked) -> None:
    answer = v2.rerank(
        model=MODEL, query=asked.query, documents=asked.documents, top_n=2, max_tokens_per_doc=4096, priority=1
    )
    asked.check(((result.index, result.relevance_score) for result in answer.results), top=2)
    assert answer.id
    assert answer.meta.api_version.version == "2"
    assert answer.meta.billed_units.search_units == 1


def test_v1_gets_documents_back(v1: cohere.Client, asked: Asked) -> None:
    answer = v1.rerank(model=MODEL, query=asked.query, documents=asked.documents, top_n=3, return_documents=True)
    asked.check(((result.index, result.relevance_score) for result in answer.results), top=3)
    assert [result.document.text for result in answer.results] == [asked.documents[c] for c in asked.best[:3]]


def test_v1_sends_documents_as_objects_and_needs_no_model(v1: cohere.Client, asked: Asked) -> None:
    answer = v1.rerank(query=asked.query, documents=[{"text": text} for text in asked.documents])
    asked.check((result.index, result.relevance_score) for result in answer.results)


def test_v1_ranks_by_the_fields_that_it_names(v1: cohere.Client, asked: Asked) -> None:
    documents = [{"text": "not this", "body": text} for text in asked.documents]
    answer = v1.rerank(model=MODEL, query=asked.query, documents=documents, rank_fields=["body"])
    asked.check((result.index, result.relevance_score) for result in answer.results)


@pytest.mark.parametrize("client", [cohere.ClientV2, cohere.Client])
def test_a_wrong_key_is_unauthorized(client: type, url: str, korean: Asked) -> None:
    with pytest.raises(cohere.UnauthorizedError, match="holds no key"):
        client(api_key=WRONG_KEY, base_url=url).rerank(model=MODEL, query=korean.query, documents=korean.documents)


def test_an_unknown_model_is_not_found(v2: cohere.ClientV2, korean: Asked) -> None:
    with pytest.raises(cohere.NotFoundError, match="rerank-v9"):
        v2.rerank(model="rerank-v9", query=korean.query, documents=korean.documents)


def test_no_documents_are_a_bad_request(v2: cohere.ClientV2) -> None:
    with pytest.raises(cohere.BadRequestError, match="documents is empty"):
        v2.rerank(model=MODEL, query="?", documents=[])
