"""What the flags of a translation may be, and what is said of others."""

from __future__ import annotations

from typing import Any

import pytest

from crossrank.errors import SettingsError, UserError
from crossrank.translation.backends.amazon import AmazonBackend
from crossrank.translation.settings import TranslateSettings

GIVEN: dict[str, Any] = {"groups": "g", "source": "en", "target": "ko", "backend": "amazon", "output": "o"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"budget_usd": 0.0}, "--budget-usd is 0, which pays for nothing; name an amount above 0"),
        ({"budget_usd": -1.0}, "--budget-usd is -1, which pays for nothing"),
        ({"budget_usd": float("nan")}, "--budget-usd is nan, which pays for nothing"),
        ({"source": "auto"}, "--source is auto, and a guess may be wrong for short queries; name the language"),
        ({"source": " "}, "--source is empty"),
        ({"target": "en"}, "--source and --target are both en; name two languages"),
        ({"concurrency": 0}, "--concurrency is 0; use at least 1"),
        ({"requests_per_second": 0.0}, "--requests-per-second is 0; use a number above 0"),
        ({"model": "m"}, "--model is m, and --backend amazon has none; leave it out"),
        ({"backend": "seq2seq"}, "--backend seq2seq wants a --model"),
        ({"backend": "memory", "budget_usd": 1.0}, "--budget-usd is of --backend amazon, and the back-end is memory"),
        ({"backend": "memory", "formality": "formal"}, "--formality is of --backend amazon"),
        ({"output": "g"}, "--output g would overwrite --groups g"),
        ({"memory": "g"}, "--memory g would overwrite --groups g"),
        ({"workers": "0"}, "--workers is '0'; use a number from 1"),
        ({"groups_per_part": 0}, "groups_per_part is 0; use at least 1"),
    ],
)
def test_a_mistake_is_one_sentence(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        TranslateSettings(**GIVEN | changed)


def test_a_formality_that_the_language_does_not_have_is_refused_without_asking() -> None:
    AmazonBackend("en", "ko", "formal").check()
    with pytest.raises(
        SettingsError, match="--formality is formal, and Amazon Translate has none for --target zh, only"
    ):
        AmazonBackend("en", "zh", "formal").check()
