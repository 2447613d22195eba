"""`serve deploy`: the files of serve/, a new version of a model without a failed request, and the way back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from safetensors.torch import load_file, save_file

from crossrank import Reranker
from crossrank.config.settings import from_mapping
from crossrank.serving.settings import ReplicaSettings
from tests.model.tiny_models import build
from tests.serving.asking import Asking, scores_of
from tests.serving.head import Head, write
from tests.serving.server import ROOT, free_port

FILES = sorted((ROOT / "serve").glob("*.yaml"))
BODY: Any = {
    "query": "how long does it take to charge?",
    "texts": ["Charging takes 4.5 hours.", "충전은 약 4시간 30분 걸립니다.", "The warranty is one year."],
    "raw_scores": True,
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of one model: v1, v2 (which turns every ranking round), and one that gives NaN."""
    folder = tmp_path_factory.mktemp("versions")
    build("bert", folder / "v1")
    for name, factor in (("v2", -1.0), ("gives-nan", float("nan"))):
        shutil.copytree(folder / "v1", folder / name)
        weights = load_file(folder / "v1" / "model.safetensors")
        weights["classifier.weight"] *= factor
        save_file(weights, folder / name / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    head = Head(tmp_path_factory.mktemp("head") / "head.log")
    try:
        head.wait_until_ready()
        yield head
    finally:
        head.kill()


class Deployed:
    """The application of serve/rerank.yaml on a Ray head, with a model of the test's own."""

    def __init__(self, head: Head, folder: Path) -> None:
        self._head = head
        self._port = free_port()
        self._file = folder / "rerank.yaml"
        self.url = f"http://127.0.0.1:{self._port}/rerank"

    def deploy(self, model: Path) -> None:
        self._head.deploy(write(self._file, "rerank.yaml", {"port": self._port}, model=str(model)))

    def wait_for(self, status: str) -> Any:
        return self._head.wait_for(status)


@pytest.fixture(scope="module")
def deployed(head: Head, versions: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """Version 1 is there."""
    deployed = Deployed(head, tmp_path_factory.mktemp("deployed"))
    deployed.deploy(versions / "v1")
    deployed.wait_for("RUNNING")
    return deployed


def scores_by_the_library(model: Path) -> Any:
    """Scores to compare with: equal within 1e-5 whatever else was in their batch."""
    logits = Reranker.load(str(model), device="cpu").score([(BODY["query"], text) for text in BODY["texts"]])
    return pytest.approx(dict(enumerate(logits.tolist())), abs=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray Serve's own schema
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_of_serve_can_be_deployed_and_listens_on_loopback(file: Path) -> None:
    from ray.serve.schema import ServeDeploySchema

    from crossrank.serving.on_ray.start import OURS_FIRST_S

    config = ServeDeploySchema.model_validate(yaml.safe_load(file.read_text()))
    assert config.http_options.host == "127.0.0.1"
    for application in config.applications:
        assert application.import_path == "crossrank.serving.on_ray.start:build"
        settings = from_mapping(ReplicaSettings, application.args, file.name)
        assert config.http_options.request_timeout_s == settings.max_timeout_s + OURS_FIRST_S


def test_a_deployed_file_answers_with_the_scores_of_the_library(deployed: Deployed, versions: Path) -> None:
    answer = requests.post(deployed.url, json=BODY, timeout=60)
    assert answer.status_code == 200, answer.text
    assert scores_of(answer) == scores_by_the_library(versions / "v1")


@pytest.mark.parametrize(
    ("broken", "words"), [("gives-nan", "a score that is not a number"), ("not-there", "is neither a folder")]
)
def test_the_old_version_goes_on_when_the_new_one_is_broken(
    deployed: Deployed, versions: Path, broken: str, words: str
) -> None:
    right = scores_by_the_library(versions / "v1")
    with Asking(deployed.url, BODY) as asking:
        asking.wait_for(20)
        began = time.monotonic()
        deployed.deploy(versions / broken)
        told = deployed.wait_for("DEPLOY_FAILED")
        given_up = time.monotonic()
        asking.wait_for(50)
        deployed.deploy(versions / "v1")
        deployed.wait_for("RUNNING")
        back = time.monotonic()
        asking.wait_for(20)
    assert words in str(told), told
    _nobody_was_refused(asking)
    assert all(reply.scores == right for reply in asking.replies)
    print(
        f"{len(asking.replies)} requests; given up after {given_up - began:.1f} s, back after {back - given_up:.1f} s"
    )


def test_a_new_version_comes_without_a_failed_request(deployed: Deployed, versions: Path) -> None:
    old, new = scores_by_the_library(versions / "v1"), scores_by_the_library(versions / "v2")
    with Asking(deployed.url, BODY) as asking:
        asking.wait_for(20)
        began = time.monotonic()
        deployed.deploy(versions / "v2")
        deployed.wait_for("RUNNING")
        took = time.monotonic() - began
        asking.wait_for(20)
        there = time.monotonic()
        asking.wait_for(20)
    _nobody_was_refused(asking)
    assert all(reply.scores in (old, new) for reply in asking.replies)
    assert all(reply.scores == new for reply in asking.since(there))
    slowest = max(reply.seconds for reply in asking.replies)
    print(f"{len(asking.replies)} requests, the slowest {slowest:.2f} s; the new version after {took:.1f} s")


def test_two_models_answer_each_under_its_own_prefix(head: Head, versions: Path, tmp_path: Path) -> None:
    head.shut_down()  # the port of a running Serve cannot be changed
    port = free_port()
    config = yaml.safe_load((ROOT / "serve" / "two-models.yaml").read_text())
    config["http_options"]["port"] = port
    for application, version in zip(config["applications"], ("v1", "v2"), strict=True):
        application["args"]["model"] = str(versions / version)
    file = tmp_path / "two-models.yaml"
    file.write_text(yaml.safe_dump(config))
    head.deploy(file)
    head.wait_for("RUNNING")
    for prefix, version in (("small", "v1"), ("large", "v2")):
        address = f"http://127.0.0.1:{port}/{prefix}"
        answer = requests.post(f"{address}/rerank", json=BODY, timeout=60)
        assert answer.status_code == 200, answer.text
        assert scores_of(answer) == scores_by_the_library(versions / version)
        assert requests.get(f"{address}/info", timeout=10).json()["model_id"] == str(versions / version)
        assert requests.get(f"{address}/health", timeout=10).status_code == 200
        assert "te_request_count" in requests.get(f"{address}/metrics", timeout=10).text
    assert requests.post(f"http://127.0.0.1:{port}/rerank", json=BODY, timeout=10).status_code == 404


def test_an_address_at_which_nobody_would_be_answered_is_refused(head: Head, versions: Path, tmp_path: Path) -> None:
    head.shut_down()
    http = {"host": "127.8.8.8", "port": free_port()}
    head.deploy(write(tmp_path / "elsewhere.yaml", "rerank.yaml", http, model=str(versions / "v1")))
    told = head.wait_for("DEPLOY_FAILED")["message"]
    assert "http_options.host is 127.8.8.8, and HAProxy reaches the replicas at 127.0.0.1 alone" in told


def _nobody_was_refused(asking: Asking) -> None:
    assert not asking.refusals, (asking.outcomes, asking.refusals[:5])
