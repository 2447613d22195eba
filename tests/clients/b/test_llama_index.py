"""llama-index's postprocessors for Cohere, Jina and text-embeddings-inference."""

import pytest
from cohere.errors import UnauthorizedError
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference

from tests.clients.asked import MODEL, WRONG_KEY, Asked


def nodes(asked: Asked) -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text), score=0.5) for text in asked.documents]


def check(asked: Asked, found: list[NodeWithScore], top: int) -> None:
    asked.check_texts(((node.text, node.score) for node in found), top)


def test_cohere_gets_the_top_nodes_with_their_scores(url: str, key: str, asked: Asked) -> None:
    reranker = CohereRerank(base_url=url, api_key=key, model=MODEL, top_n=3)
    check(asked, reranker.postprocess_nodes(nodes(asked), query_str=asked.query), top=3)


def test_cohere_is_unauthorized_with_a_wrong_key(url: str, korean: Asked) -> None:
    reranker = CohereRerank(base_url=url, api_key=WRONG_KEY, model=MODEL)
    with pytest.raises(UnauthorizedError, match="holds no key"):
        reranker.postprocess_nodes(nodes(korean), query_str=korean.query)


def test_jina_gets_the_top_nodes_with_their_scores(url: str, key: str, asked: Asked) -> None:
    reranker = JinaRerank(base_url=f"{url}/v1", api_key=key, model=MODEL, top_n=3)
    check(asked, reranker.postprocess_nodes(nodes(asked), query_str=asked.query), top=3)


def test_jina_raises_the_detail_with_a_wrong_key(url: str, korean: Asked) -> None:
    reranker = JinaRerank(base_url=f"{url}/v1", api_key=WRONG_KEY, model=MODEL)
    with pytest.raises(RuntimeError, match="holds no key"):
        reranker.postprocess_nodes(nodes(korean), query_str=korean.query)


@pytest.mark.parametrize("scheme", ["", "Bearer "])
def test_tei_sends_its_token_as_it_is_and_gets_every_node_scored(url: str, key: str, asked: Asked, scheme: str) -> None:
    reranker = TextEmbeddingInference(base_url=url, auth_token=f"{scheme}{key}", top_n=3)
    given = nodes(asked)
    check(asked, reranker.postprocess_nodes(given, query_str=asked.query), top=3)
    scores = [node.score for node in given]
    assert scores == pytest.approx(asked.probabilities, abs=1e-5)


def test_tei_fails_with_a_wrong_key(url: str, korean: Asked) -> None:
    # It looks at no status, and asserts that there are as many scores as nodes.
    reranker = TextEmbeddingInference(base_url=url, auth_token=WRONG_KEY)
    with pytest.raises(AssertionError):
        reranker.postprocess_nodes(nodes(korean), query_str=korean.query)
