"""infinity-client, and langchain-community's compressor on top of it."""

import pytest
from infinity_client import AuthenticatedClient, Client
from infinity_client.api.default import rerank
from infinity_client.errors import UnexpectedStatus
from infinity_client.models import HTTPValidationError, RerankInput
from langchain_community.document_compressors import InfinityRerank
from langchain_core.documents import Document

from tests.clients.asked import MODEL, WRONG_KEY, Asked


@pytest.fixture
def client(url: str, key: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=url, token=key)


@pytest.fixture
def plain(url: str, key: str) -> Client:
    """The class that langchain insists on, which has no place for a key but the headers."""
    return Client(base_url=url, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("raw_scores", [False, True])
def test_scores_are_probabilities_and_raw_scores_logits(
    client: AuthenticatedClient, asked: Asked, raw_scores: bool
) -> None:
    answer = rerank.sync(client=client, body=RerankInput(asked.query, asked.documents, raw_scores=raw_scores))
    asked.check(((result.index, result.relevance_score) for result in answer.results), logits=raw_scores)


def test_documents_come_back_as_plain_texts_with_model_and_usage(client: AuthenticatedClient, asked: Asked) -> None:
    body = RerankInput(asked.query, asked.documents, return_documents=True, model=MODEL, top_n=2)
    answer = rerank.sync(client=client, body=body)
    asked.check_texts(((result.document, result.relevance_score) for result in answer.results), top=2)
    assert answer.model == MODEL
    assert answer.usage.total_tokens >= answer.usage.prompt_tokens > 0
    assert answer.id


def test_a_body_that_is_not_valid_is_parsed_as_a_validation_error(client: AuthenticatedClient) -> None:
    answer = rerank.sync(client=client, body=RerankInput("", ["some text"]))
    assert isinstance(answer, HTTPValidationError)
    assert answer.detail[0].loc == ["body", "query"]
    assert "query is empty" in answer.detail[0].msg


def test_a_wrong_key_is_an_unexpected_status(url: str, korean: Asked) -> None:
    client = AuthenticatedClient(base_url=url, token=WRONG_KEY, raise_on_unexpected_status=True)
    with pytest.raises(UnexpectedStatus, match=r"(?s)401.*holds no key"):
        rerank.sync(client=client, body=RerankInput(korean.query, korean.documents))


def test_langchain_gets_documents_with_their_scores(plain: Client, asked: Asked) -> None:
    compressor = InfinityRerank(client=plain, model=MODEL, top_n=3)
    found = compressor.compress_documents([Document(text) for text in asked.documents], asked.query)
    asked.check_texts(((each.page_content, each.metadata["relevance_score"]) for each in found), top=3)


def test_langchain_names_no_model_where_it_was_given_none(plain: Client, asked: Asked) -> None:
    found = InfinityRerank(client=plain).rerank(asked.documents, asked.query, top_n=None)
    asked.check((each["index"], each["relevance_score"]) for each in found)
