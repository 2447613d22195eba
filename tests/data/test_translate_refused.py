"""What a translation job says of a service that does not serve: one sentence, before any work and any Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import BackendRefused, JobFailed
from crossrank.records import Candidate, Group
from crossrank.translation.job import translate
from crossrank.translation.memory.store import Memory
from crossrank.translation.settings import TranslateSettings
from tests.data import corpora
from tests.data.amazon_server import Asked, amazon_server
from tests.ray.s3_server import free_port

GROUPS = [
    Group(f"q{number}", f"query {number}", (Candidate("d", f"text {number}", label=1.0),)) for number in range(50)
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with amazon_server(tmp_path_factory.mktemp("server") / "asked.jsonl") as asked:
        yield asked


@pytest.fixture
def asked(server: Asked, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The server; a job that starts Ray fails."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", server.endpoint)
    monkeypatch.setattr("crossrank.cluster.on_ray.connect", lambda: pytest.fail("Ray was started"))
    return server


def settings(tmp_path: Path, **more: Any) -> TranslateSettings:
    given: dict[str, Any] = {"source": "en", "target": "ko", "backend": "amazon", "output": str(tmp_path / "out")}
    return TranslateSettings(groups=corpora.write(tmp_path, GROUPS), memory=str(tmp_path / "memory"), **given | more)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("WRONG", r"^AWS does not know these credentials \(The security token .* is invalid\.\); check the keys"),
        ("EXPIRED", r"^the AWS credentials have expired \(.*\); renew them$"),
        ("DENIED", r"^these credentials may not use Amazon Translate \(.*\); allow translate:TranslateText$"),
    ],
)
def test_keys_that_may_not_are_one_sentence(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, sentence: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    before = len(asked.requests)
    with pytest.raises(BackendRefused, match=sentence):
        translate(settings(tmp_path))
    assert len(asked.requests) == before + 1, "one small call, before any work"


def test_no_keys_at_all_are_one_sentence(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(
        BackendRefused, match="Amazon Translate needs AWS credentials, and there are none; set AWS_ACCESS"
    ):
        translate(settings(tmp_path))


def test_no_region_is_one_sentence(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(
        BackendRefused, match="needs a region, and none is set; set AWS_DEFAULT_REGION, such as us-east-1"
    ):
        translate(settings(tmp_path))


def test_a_language_pair_that_is_not_translated_is_one_sentence(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(BackendRefused, match=r"does not translate from --source en to --target tlh .*; name others"):
        translate(settings(tmp_path, target="tlh"))


def test_a_terminology_that_is_not_there_is_one_sentence(asked: Asked, tmp_path: Path) -> None:
    with pytest.raises(BackendRefused, match=r"does not find what was named .*; check --terminology"):
        translate(settings(tmp_path, terminology="nothing"))


def test_a_service_that_is_not_there_is_one_sentence(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        JobFailed, match=r"no text was translated for 1 s .*cannot be reached.*run the same command again"
    ):
        translate(settings(tmp_path, give_up_s=1.0))


def test_a_budget_that_does_not_pay_for_the_first_text_asks_nothing(asked: Asked, tmp_path: Path) -> None:
    before = len(asked.requests)
    with pytest.raises(JobFailed, match=r"--budget-usd 1e-05 is spent: 0.0000 USD are paid"):
        translate(settings(tmp_path, budget_usd=0.00001))
    assert len(asked.requests) == before


def test_what_the_check_translated_is_kept(tmp_path: Path, asked: Asked) -> None:
    # It is one of the texts, so it is not paid again when the job begins.
    with pytest.raises(pytest.fail.Exception, match="Ray was started"):
        translate(settings(tmp_path))
    memory = Memory.reading(str(tmp_path / "memory"))
    assert [entry.source for entry in memory.entries()] == ["query 0"]
