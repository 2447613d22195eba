"""boto3's sagemaker-runtime, with `endpoint_url` at our server.

A container on SageMaker is asked for no key. Here the server has keys; AWS's signature takes the header that they come
in, so the key goes into CustomAttributes, which the SDK hands through.
"""

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.clients.asked import MODEL, WRONG_KEY, Asked


def invoke(url: str, key: str, body: dict[str, Any]) -> Any:
    client = boto3.client(
        "sagemaker-runtime",
        region_name="ap-northeast-2",
        endpoint_url=url,
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
        config=Config(retries={"max_attempts": 0}),
    )
    answer = client.invoke_endpoint(
        EndpointName="ko-reranker",
        ContentType="application/json",
        CustomAttributes=f"Bearer {key}",
        Body=json.dumps(body).encode(),
    )
    return json.loads(answer["Body"].read())


def test_pairs_of_a_pipeline_are_scored_in_their_order(url: str, key: str, asked: Asked) -> None:
    pairs = [{"text": asked.query, "text_pair": document} for document in asked.documents]
    found = invoke(url, key, {"inputs": pairs})
    assert [each["score"] for each in found] == pytest.approx(asked.probabilities, abs=1e-5)
    asked.check(sorted(enumerate(each["score"] for each in found), key=lambda pair: -pair[1]))


def test_a_pipeline_without_a_function_gives_logits(url: str, key: str, asked: Asked) -> None:
    pairs = [{"text": asked.query, "text_pair": document} for document in asked.documents]
    found = invoke(url, key, {"inputs": pairs, "parameters": {"function_to_apply": "none"}})
    assert [each["score"] for each in found] == pytest.approx(asked.logits, abs=1e-5)


def test_pairs_of_langchain_are_scored_in_their_order(url: str, key: str, asked: Asked) -> None:
    found = invoke(url, key, {"text_pairs": [[asked.query, document] for document in asked.documents]})
    assert len(found["scores"]) == len(asked.documents)
    asked.check(sorted(enumerate(found["scores"]), key=lambda pair: -pair[1]))


def test_the_body_of_tei_is_ranked(url: str, key: str, asked: Asked) -> None:
    found = invoke(url, key, {"query": asked.query, "texts": asked.documents, "raw_scores": True})
    asked.check(((each["index"], each["score"]) for each in found), logits=True)


def test_the_body_of_cohere_is_ranked(url: str, key: str, asked: Asked) -> None:
    found = invoke(url, key, {"model": MODEL, "query": asked.query, "documents": asked.documents, "top_n": 2})
    asked.check(((each["index"], each["relevance_score"]) for each in found["results"]), top=2)


def test_a_wrong_key_is_a_client_error(url: str, korean: Asked) -> None:
    with pytest.raises(ClientError, match="holds no key") as raised:
        invoke(url, WRONG_KEY, {"inputs": [{"text": korean.query, "text_pair": korean.documents[0]}]})
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 401
