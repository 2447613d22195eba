"""langchain-community's Jina compressor."""

import pytest
from langchain_community.document_compressors import JinaRerank, jina_rerank
from langchain_core.documents import Document

from tests.clients.asked import MODEL, WRONG_KEY, Asked


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    # The address is a constant of the module, and no option.
    monkeypatch.setattr(jina_rerank, "JINA_API_URL", f"{url}/v1/rerank")


def test_documents_come_with_their_scores(key: str, asked: Asked) -> None:
    compressor = JinaRerank(jina_api_key=key, model=MODEL, top_n=2)
    found = compressor.compress_documents([Document(text) for text in asked.documents], asked.query)
    asked.check_texts(((each.page_content, each.metadata["relevance_score"]) for each in found), top=2)


def test_no_top_n_is_all_of_them(key: str, asked: Asked) -> None:
    found = JinaRerank(jina_api_key=key, model=MODEL).rerank(asked.documents, asked.query, top_n=None)
    asked.check((each["index"], each["relevance_score"]) for each in found)


def test_a_wrong_key_is_told_by_its_detail(korean: Asked) -> None:
    with pytest.raises(RuntimeError, match="holds no key"):
        JinaRerank(jina_api_key=WRONG_KEY, model=MODEL).rerank(korean.documents, korean.query)
