"""`crossrank train` from an object store into one, with the local disk as a stop on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from crossrank import Reranker, storage
from crossrank.errors import JobFailed
from crossrank.storage import lease
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings
from tests.model import runs
from tests.ray.driver import wait_for
from tests.ray.s3_server import s3_server
from tests.training.trained import assert_same_weights, given

BUCKET = "training"
PAIRS = [("how long does it take to charge?", "Charging takes about 4.5 hours."), ("warranty", "one year")]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url


def test_from_s3_to_s3_it_gives_what_it_gives_locally_and_leaves_nothing_on_the_disk(
    cluster: None, endpoint: str, tiny_model: str, tmp_path: Path
) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=24)
    held_out = runs.write_groups(tmp_path / "held-out.jsonl", num_groups=6, seed=9)
    local = given(tiny_model, groups, tmp_path / "out", eval_groups=str(held_out), num_train_epochs=2, save_steps=2)
    train(TrainSettings(**local))

    there = f"s3://{BUCKET}/run"
    for file in (groups, held_out):
        storage.write_bytes(f"{there}/{file.name}", file.read_bytes())
    remote = local | {"groups": f"{there}/groups.jsonl", "eval_groups": f"{there}/held-out.jsonl"}
    remote |= {"output": f"{there}/out"}
    manifest = train(TrainSettings(**remote))

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    for stored in storage.list_files(f"{there}/out"):
        (fetched / stored.uri.rsplit("/", 1)[1]).write_bytes(storage.read_bytes(stored.uri))
    assert_same_weights(fetched, tmp_path / "out")
    assert manifest["chosen_step"] == json.loads((tmp_path / "out" / "_manifest.json").read_text())["chosen_step"]
    logits = Reranker.load(f"{there}/out", device="cpu", max_length=96).score(PAIRS)
    assert logits.tolist() == Reranker.load(str(tmp_path / "out"), device="cpu", max_length=96).score(PAIRS).tolist()
    assert not [path for path in (storage.cache_folder() / "sending").rglob("*") if path.is_file()]


def test_a_run_whose_output_was_taken_over_stops_at_its_next_steps_and_can_be_gone_on_with(
    cluster: None, endpoint: str, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=24)
    output = f"s3://{BUCKET}/taken"
    settings = given(tiny_model, groups, tmp_path, num_train_epochs=200, save_steps=2)
    settings["output"] = output
    lock = f"{output}/{lease.LOCK}"

    def take_over() -> None:
        wait_for(lambda: bool(storage.list_files(f"{output}/_checkpoint", recursive=True)), 200, lambda: "no step")
        storage.write_bytes(lock, b'{"run": "other", "holder": "process 1 of a machine"}')

    thread = threading.Thread(target=take_over)
    thread.start()
    with pytest.raises(JobFailed, match=f"another job writes {output}"):
        train(TrainSettings(**settings))
    thread.join()
    assert not storage.exists(f"{output}/model.safetensors")
    assert json.loads(storage.read_bytes(f"{output}/_manifest.json"))["state"] == "running"
    assert storage.exists(lock), "it is the other's"
