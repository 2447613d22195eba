"""langchain-cohere."""

import pytest
from cohere.errors import UnauthorizedError
from langchain_cohere import CohereRerank
from langchain_core.documents import Document

from tests.clients.asked import MODEL, WRONG_KEY, Asked


def test_documents_come_with_their_scores(url: str, key: str, asked: Asked) -> None:
    compressor = CohereRerank(base_url=url, cohere_api_key=key, model=MODEL, top_n=2)
    found = compressor.compress_documents([Document(text) for text in asked.documents], asked.query)
    asked.check_texts(((each.page_content, each.metadata["relevance_score"]) for each in found), top=2)


def test_a_top_n_of_null_is_all_of_them(url: str, key: str, asked: Asked) -> None:
    compressor = CohereRerank(base_url=url, cohere_api_key=key, model=MODEL)
    found = compressor.rerank(asked.documents, asked.query, top_n=None)
    asked.check((each["index"], each["relevance_score"]) for each in found)


def test_a_wrong_key_is_unauthorized(url: str, korean: Asked) -> None:
    with pytest.raises(UnauthorizedError, match="holds no key"):
        CohereRerank(base_url=url, cohere_api_key=WRONG_KEY, model=MODEL).rerank(korean.documents, korean.query)
