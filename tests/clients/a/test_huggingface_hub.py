"""huggingface_hub's InferenceClient. It has no task for reranking; a pair goes through text classification."""

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.clients.asked import WRONG_KEY, Asked


def test_a_pair_is_classified(url: str, key: str, asked: Asked) -> None:
    client = InferenceClient(url, token=key)
    found = [client.text_classification([[asked.query, document]])[0] for document in asked.documents]
    asked.check(sorted(enumerate(each.score for each in found), key=lambda pair: -pair[1]))
    assert {each.label for each in found} == {"LABEL_0"}


def test_a_single_text_is_refused(url: str, key: str, korean: Asked) -> None:
    with pytest.raises(HfHubHTTPError, match="needs pairs"):
        InferenceClient(url, token=key).text_classification(korean.query)


def test_a_wrong_key_is_unauthorized(url: str, korean: Asked) -> None:
    with pytest.raises(HfHubHTTPError, match=r"(?s)401.*holds no key"):
        InferenceClient(url, token=WRONG_KEY).text_classification([[korean.query, korean.documents[0]]])
