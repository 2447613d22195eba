"""What may be evaluated on, and what is refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest

from crossrank.errors import SettingsError
from crossrank.evaluation.settings import EvaluateSettings

CSV = {"groups": None, "eval_csv": "f.csv"}
GIVEN: dict[str, Any] = {"models": ("a=A",), "groups": "g.jsonl", "output": "out"}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"groups": None}, "nothing is given to evaluate on; give --groups, or --queries with --corpus and --qrels"),
        ({"eval_csv": "f.csv"}, "--groups and --eval-csv are both given to evaluate on"),
        ({"groups": None, "queries": "q"}, "--queries wants --corpus too; a BEIR folder may be given as all three"),
        ({"groups": None, "queries": "q", "corpus": "c"}, "--queries wants --qrels too"),
        ({"qrels": "q"}, "--qrels has no place beside --groups; leave it out"),
        ({"candidates": "run.trec"}, "--candidates run.trec has no place beside --groups; leave it out"),
        ({"groups": None, "eval_csv": "f.csv", "corpus": "c"}, "--corpus has no place beside --eval-csv"),
        ({"candidates": "dense", "encoder": "E"}, "--candidates dense has no place beside --groups; leave it out"),
        (CSV | {"candidates": "run.trec"}, "--candidates run.trec has no place beside --eval-csv; leave it out"),
        (CSV | {"candidates": "dense"}, "--candidates dense wants --encoder, such as BAAI/bge-m3"),
        (CSV | {"candidates": "bm25+dense"}, "--candidates bm25+dense wants --encoder"),
        (CSV | {"encoder": "E"}, "--encoder is 'E', and --candidates bm25 does not use it; use --candidates dense or"),
        (CSV | {"query_prompt": "query: "}, "--query-prompt wants --encoder; name one, or leave it out"),
        ({"models": ("A",)}, "--models has 'A'; write NAME=MODEL, such as base=BAAI/bge-reranker-v2-m3"),
        ({"models": ("a=A", "a=B")}, "--models has the name 'a' twice"),
        ({"models": ("no reranker=A",)}, "--models has the name 'no reranker' twice"),
        ({"contexts": 0}, "--contexts is 0; use at least 1"),
        ({"contexts": 5, "depth": 3}, "--contexts is 5 and --depth 3; a query has no more candidates"),
        ({"resamples": 10}, "resamples is 10; use at least 100"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_way_out(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as refused:
        EvaluateSettings(**(GIVEN | changed))
    assert told in str(refused.value)


def test_a_password_in_a_url_is_refused_and_not_quoted() -> None:
    with pytest.raises(SettingsError) as refused:
        EvaluateSettings(**(GIVEN | {"models": ("a=https://me:hunter22@h/v2/rerank#m",)}))
    assert str(refused.value) == (
        "the model a has a user or a password in its URL, which manifests and reports would show; give a key in "
        "CROSSRANK_KEY"
    )
    EvaluateSettings(**(GIVEN | {"models": ("a=https://h/v2/rerank?at=m@1#m@2", "b=folder//of@2", "c=s3://b/m@2")}))


def test_models_keep_their_order_and_may_have_a_sign_in_them() -> None:
    settings = EvaluateSettings(**(GIVEN | {"models": ("b=B", "a=http://h/v2/rerank?x=y#m")}))
    assert list(settings.named_models().items()) == [("b", "B"), ("a", "http://h/v2/rerank?x=y#m")]


def test_without_models_there_is_still_the_first_stage_to_measure() -> None:
    assert EvaluateSettings(queries="q", corpus="c", qrels="r", output="out").named_models() == {}
