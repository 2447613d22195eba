import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.serving.dialects import ROUTES, Limits, fault_body, read
from crossrank.serving.errors import Invalid, RequestError
from tests.unit.serving.dialects.asked import SERVED, answer, asked, refused

BODY: dict[str, Any] = {"query": "q", "documents": ["a", "b"]}
PATHS = ("/rerank", "/v1/rerank", "/v2/rerank", "/v1/reranking", "/reranking", "/score", "/v1/score", "/predict", "/")

KEYS = [
    "query", "texts", "documents", "raw_scores", "top_n", "top_k", "input", "inputs", "queries", "text_1", "text_2",
    "data_1", "data_2", "items", "text_pairs", "instances", "parameters", "rank_fields", "include", "model", "text",
    "text_pair", "title", "id", "function_to_apply", "truncate", "truncation", "truncation_side", "timeout_ms",
    "priority", "min_score", "long_document", "max_chunks_per_doc", "max_tokens_per_doc", "return_documents",
]  # fmt: skip
CHARACTERS = st.text(st.characters(), max_size=4) | st.sampled_from(["\ud800", "\x00", "logit", "left", "softmax"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | CHARACTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | CHARACTERS, inner, max_size=4),
    max_leaves=12,
)
TEXTS = st.lists(st.text(max_size=2), min_size=1, max_size=3)
SHAPES: list[dict[str, st.SearchStrategy[Any]]] = [
    {"query": st.just("q"), "texts": TEXTS},
    {"query": st.just("q"), "documents": TEXTS | st.lists(st.fixed_dictionaries({"text": st.text(max_size=2)}))},
    {"query": st.just("q"), "input": TEXTS},
    {"text_1": st.just("q"), "text_2": TEXTS},
    {"inputs": st.lists(st.tuples(st.just("q"), st.text(max_size=2)).map(list), min_size=1)},
    {"inputs": st.just({"text": "q", "text_pair": ""})},
    {"text_pairs": st.just([["q", "a"]])},
    {"instances": st.just([{"query": "q", "texts": ["a"]}])},
]
OPTIONS = st.dictionaries(st.sampled_from(KEYS), st.none() | st.integers(-1, 3) | st.booleans() | JSON, max_size=2)
REQUESTS = st.builds(
    lambda shape, options: shape | options, st.sampled_from(SHAPES).flatmap(st.fixed_dictionaries), OPTIONS
)
BODIES = JSON | REQUESTS


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"query": None}, "query is null, and a text is wanted"),
        ({"query": 7}, "query is 7, and a text is wanted"),
        ({"documents": {"text": "a"}}, "documents is an object, and a text or a list is wanted"),
        ({"documents": ["a", 7]}, "documents[1] is 7, and a text or an object is wanted"),
        ({"documents": ["a", {"text": []}]}, "documents[1].text is a list, and a text is wanted"),
        ({"documents": [True]}, "documents[0] is true, and a text or an object is wanted"),
        ({"top_n": -1}, "top_n is -1, and at least 0 is wanted"),
        ({"top_n": "3"}, "top_n is '3', and a whole number is wanted"),
        ({"top_n": 2.5}, "top_n is 2.5, and a whole number is wanted"),
        ({"top_n": True}, "top_n is true, and a whole number is wanted"),
        ({"return_documents": 1}, "return_documents is 1, and true or false is wanted"),
        ({"min_score": math.nan}, "min_score is nan, and a finite number is wanted"),
        ({"min_score": math.inf}, "min_score is inf, and a finite number is wanted"),
        ({"timeout_ms": 0}, "timeout_ms is 0, and more than 0.0 is wanted"),
        ({"priority": 2_000_000}, "priority is 2000000, and at most 1000000 is wanted"),
        ({"max_chunks_per_doc": 0}, "max_chunks_per_doc is 0, and at least 1 is wanted"),
        ({"score_type": "calibrated"}, "score_type is 'calibrated', and 'probability' or 'logit' is wanted"),
        ({"include": ["spans"]}, "include[0] is 'spans', and 'diagnostics' is wanted"),
    ],
)
def test_a_field_of_the_wrong_type_or_beyond_its_bound_is_refused_in_one_sentence(
    fields: dict[str, Any], sentence: str
) -> None:
    fault = refused("/rerank", BODY | fields)
    assert isinstance(fault, Invalid)
    assert str(fault) == sentence
    assert fault.parameter == sentence.split(" is ")[0]


@pytest.mark.parametrize(("body", "what"), [([], "a list"), ("x", "'x'"), (None, "null"), (7, "7"), (True, "true")])
def test_a_body_that_is_not_an_object_is_refused(body: object, what: str) -> None:
    assert str(refused("/rerank", body)) == f"the body is {what}, and an object is wanted"


def test_a_missing_field_is_named() -> None:
    assert str(refused("/v1/rerank", {})) == "query is missing, and has to be there"
    assert str(refused("/v1/rerank", {"query": "q"})) == "documents is missing, and has to be there"


def test_unknown_fields_are_ignored() -> None:
    assert asked("/rerank", BODY | {"user": 7, "metadata": {"a": [1]}, "wholly new": None}) == asked("/rerank", BODY)


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/rerank", {"query": "a\udc00", "texts": ["a"]}, "query"),
        ("/rerank", {"query": "q", "texts": ["a", "\ud800"]}, "texts[1]"),
        ("/rerank", {"query": "q", "documents": [{"text": "\ud800"}]}, "documents[0].text"),
        ("/rerank", {"query": "q", "documents": [{"text": "a", "id": "\ud800"}]}, "documents[0].id"),
        ("/rerank", BODY | {"model": "\ud800"}, "model"),
        ("/predict", {"inputs": [["q", "\ud800"]]}, "inputs[0][1]"),
        ("/score", {"text_1": "q", "text_2": ["\ud800"]}, "text_2[0]"),
        ("/invocations", {"inputs": {"text": "q", "text_pair": "\ud800"}}, "inputs.text_pair"),
        ("/invocations", {"text_pairs": [["\ud800", "a"]]}, "text_pairs[0][0]"),
    ],
)
def test_half_a_surrogate_pair_is_refused_by_its_place(path: str, body: Any, name: str) -> None:
    fault = refused(path, body)
    assert str(fault) == f"{name} holds half a surrogate pair, which is no character; send whole characters"
    assert fault.parameter == name


def test_control_characters_are_characters() -> None:
    assert asked("/rerank", {"query": "q\x00", "documents": ["\x1b[0m\r\n"]}).documents == ("\x1b[0m\r\n",)


def test_a_message_repeats_at_most_60_characters_of_a_text() -> None:
    for text in ("x" * 1000, "\x00" * 1000, "'\"" * 500):
        message = str(refused("/rerank", BODY | {"top_n": text}))
        assert len(message) < 60 + len("top_n is ' ...', and a whole number is wanted") + 1
    assert len(str(refused("/rerank", BODY | {"documents": [{"k" * 99: 7}], "rank_fields": ["k" * 99]}))) < 120


def test_the_limit_of_documents_is_inclusive() -> None:
    assert len(asked("/rerank", {"query": "q", "documents": ["a"] * 10_000}).documents) == 10_000
    assert "has 10001 texts, over the limit of 10000" in str(refused("/rerank", BODY | {"documents": ["a"] * 10_001}))


@pytest.mark.parametrize(
    ("header", "timeout_ms", "timeout_s"),
    [(None, None, None), ("2.5", None, 2.5), ("2.5", 400, 0.4), ("600", None, 60.0), (None, 600_000, 60.0)],
)
def test_the_body_before_the_header_says_how_long_to_wait_up_to_the_limit(
    header: str | None, timeout_ms: int | None, timeout_s: float | None
) -> None:
    headers = {} if header is None else {"x-request-timeout-seconds": header}
    assert read("/rerank", BODY | {"timeout_ms": timeout_ms}, headers, Limits()).score_request.timeout_s == timeout_s


@pytest.mark.parametrize("value", ["soon", "", "0", "-1", "nan", "inf"])
def test_a_header_that_is_no_time_is_refused(value: str) -> None:
    with pytest.raises(Invalid, match=r"x-request-timeout-seconds is .*, and a number of seconds above 0 is wanted"):
        read("/rerank", BODY, {"x-request-timeout-seconds": value}, Limits())


def test_every_path_has_schemas_to_show() -> None:
    assert set(ROUTES) == {*PATHS, "/invocations"}
    for dialects in ROUTES.values():
        assert dialects
        assert all(dialect.request.model_json_schema()["type"] == "object" for dialect in dialects)


@given(st.sampled_from([*PATHS, "/invocations"]), BODIES)
def test_any_json_is_answered_in_json_or_refused_with_a_fault(path: str, body: Any) -> None:
    try:
        found = read(path, body, {}, Limits())
    except RequestError as fault:
        told = fault_body(path, body, fault, "rr-1")
    else:
        num = len(found.score_request.documents)
        assert len(found.score_request.queries) in (1, num)
        "".join(found.score_request.queries + found.score_request.documents).encode()
        told = 200, found.render(answer(*[0.5] * num), SERVED)
    status, content = told
    assert status in (200, 400, 422)
    json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
