"""Checkpoints in an object store: whole or none, though it has no folder that could be renamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from crossrank import storage
from crossrank.errors import InputError, StorageError
from crossrank.training import checkpoint as checkpoint_module
from crossrank.training.checkpoint import Checkpoints
from tests.ray.s3_server import s3_server
from tests.unit.training.checkpoints import filled_with, read_model, save


@pytest.fixture(scope="module")
def endpoint() -> Iterator[None]:
    """A server of its own, with the bucket ``models``."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        with s3_server() as url:
            patch.setenv("AWS_ENDPOINT_URL", url)
            boto3.client("s3").create_bucket(Bucket="models")
            yield


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of the test alone."""
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def remote(endpoint: None, request: pytest.FixtureRequest) -> str:
    """A folder of the bucket for the test alone."""
    return f"s3://models/{request.node.name}"


def keys_below(uri: str) -> list[str]:
    return [file.uri.removeprefix(f"{uri}/") for file in storage.list_files(uri, recursive=True)]


def test_on_s3_it_is_the_same(remote: str, cache: Path) -> None:
    checkpoints = Checkpoints(remote, 2)
    save(checkpoints, 5, 10)
    save(checkpoints, 15, kept=(5,))
    assert checkpoints.steps() == [5, 10, 15]
    folder = checkpoints.fetch(15)
    assert read_model(folder) == "model 15"
    assert folder.is_relative_to(cache)
    assert checkpoints.newest_readable(read_model) == (15, "model 15")
    assert keys_below(checkpoints.uri(5)) == ["complete.json", "model.safetensors", "training.pt"]


def test_on_s3_the_sizes_come_last_and_go_first(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # An object store has no folder that could be renamed: whatever is there at a kill, must not look whole.
    checkpoints = Checkpoints(remote, 1)
    save(checkpoints, 5)
    uploaded: list[str] = []
    upload = checkpoint_module._upload

    def killed_at_the_second(file: Path, uri: str) -> None:
        if uploaded:
            raise SystemExit
        uploaded.append(file.name)
        upload(file, uri)

    monkeypatch.setattr(checkpoint_module, "_upload", killed_at_the_second)
    checkpoints.save(5, filled_with("6"))  # a letter for a letter: the sizes are those of the one before
    with pytest.raises(SystemExit):
        checkpoints.wait()
    assert uploaded == ["model.safetensors"]
    after = Checkpoints(remote, 1)
    assert after.steps() == [], "a model of the second and a state of the first are no checkpoint"


def test_on_s3_another_run_at_the_same_place_is_not_taken_for_the_first(remote: str) -> None:
    # Its files have the same names and the same sizes, and what was fetched of the first is still in the cache.
    first = Checkpoints(remote, 1)
    first.save(5, filled_with("a"))
    first.wait()
    assert read_model(first.fetch(5)) == "model a"
    storage.delete(first.folder)  # --overwrite
    second = Checkpoints(remote, 1)
    second.save(5, filled_with("b"))
    second.wait()
    assert read_model(second.fetch(5)) == "model b"


def test_on_s3_a_file_of_another_size_makes_it_none(remote: str) -> None:
    checkpoints = Checkpoints(remote, 9)
    save(checkpoints, 5, 10)
    storage.write_bytes(f"{checkpoints.uri(10)}/training.pt", b"short")
    with pytest.raises(InputError, match=r"training\.pt has 5 bytes, and was written with 8"):
        checkpoints.fetch(10)
    assert checkpoints.newest_readable(read_model) == (5, "model 5")
    storage.write_bytes(f"{checkpoints.uri(10)}/training.pt", b"state 10")
    assert checkpoints.newest_readable(read_model) == (10, "model 10"), "what was wrong was not kept"


def test_on_s3_a_server_that_is_gone_is_no_reason_to_start_anew(
    remote: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(remote, 9)
    save(checkpoints, 5)
    steps = checkpoints.steps()
    monkeypatch.setattr(checkpoints, "steps", lambda: steps)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="cannot be reached"):
        checkpoints.newest_readable(read_model)
    assert capsys.readouterr().err == ""
