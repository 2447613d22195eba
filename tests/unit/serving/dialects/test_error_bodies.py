from typing import Any

import pytest

from crossrank.serving.dialects import fault_body
from crossrank.serving.errors import Broken, Empty, Expired, Invalid, Overloaded, RequestError, UnknownModel, Unparsable

TEXTS = {"query": "q", "texts": ["a"]}
DOCUMENTS = {"query": "q", "documents": ["a"]}
RAW = DOCUMENTS | {"raw_scores": False}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rerank", TEXTS),
        ("/v1/rerank", TEXTS),
        ("/invocations", TEXTS),
        ("/", TEXTS),
        ("/predict", {"inputs": "a"}),
        ("/predict", {}),
        ("/invocations", {"inputs": {"text": "q"}}),
        ("/rerank", None),
        ("/predict", None),
        ("/rerank", [1]),
    ],
)
def test_clients_of_text_embeddings_inference_read_error_and_error_type(path: str, body: Any) -> None:
    assert fault_body(path, body, Invalid("no", "query"), "rr-1") == (422, {"error": "no", "error_type": "Validation"})


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rerank", DOCUMENTS),
        ("/v1/rerank", None),
        ("/v2/rerank", DOCUMENTS),
        ("/v1/reranking", {"query": "q", "input": []}),
        ("/score", {"text_1": "a"}),
        ("/score", None),
        ("/invocations", {"text_pairs": 7}),
    ],
)
def test_all_others_read_one_object(path: str, body: Any) -> None:
    assert fault_body(path, body, Invalid("no", "query"), "rr-1") == (
        422,
        {
            "id": "rr-1",
            "message": "no",
            "detail": "no",
            "error": {"message": "no", "type": "Validation", "param": "query", "code": 422},
            "error_type": "Validation",
        },
    )


def test_what_is_invalid_comes_as_a_list_to_infinity_whose_client_parses_it() -> None:
    status, body = fault_body("/rerank", RAW, Invalid("no", "query"), "x")
    assert (status, body["message"]) == (422, "no")
    assert body["detail"] == [{"loc": ["body", "query"], "msg": "no", "type": "value_error"}]
    assert fault_body("/rerank", RAW, Overloaded("full", 1.0), "x")[1]["detail"] == "full"


def test_a_failed_model_is_424_to_clients_of_text_embeddings_inference_and_500_to_others() -> None:
    assert fault_body("/rerank", TEXTS, Broken("NaN"), "x") == (424, {"error": "NaN", "error_type": "Backend"})
    status, body = fault_body("/rerank", DOCUMENTS, Broken("NaN"), "x")
    assert (status, body["error"]["code"], body["error_type"]) == (500, 500, "Backend")


def test_an_unknown_model_is_400_to_infinity_and_404_to_others() -> None:
    status, body = fault_body("/rerank", RAW, UnknownModel("who?", "model"), "x")
    assert (status, body["error"]["code"]) == (400, 400)
    assert fault_body("/rerank", DOCUMENTS, UnknownModel("who?", "model"), "x")[0] == 404
    assert fault_body("/score", {"text_1": "q"}, UnknownModel("who?", "model"), "x")[0] == 404


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (Unparsable("m"), 400, "Validation"),
        (Empty("m"), 400, "Empty"),
        (Overloaded("m", 1.0), 429, "Overloaded"),
        (Expired("m"), 504, "Timeout"),
    ],
)
def test_every_fault_keeps_its_status_and_its_name_in_both_shapes(fault: RequestError, status: int, kind: str) -> None:
    assert fault_body("/rerank", TEXTS, fault, "x") == (status, {"error": "m", "error_type": kind})
    found, body = fault_body("/v2/rerank", DOCUMENTS, fault, "x")
    assert (found, body["error_type"]) == (status, kind)


def test_a_request_without_an_id_gets_none_and_an_unserved_path_the_object() -> None:
    status, body = fault_body("/v1/models", None, Invalid("no"), "")
    assert status == 422
    assert sorted(body) == ["detail", "error", "error_type", "message"]
    assert "detail" in fault_body("/elsewhere", TEXTS, Invalid("no"), "x")[1]
