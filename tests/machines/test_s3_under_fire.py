"""An S3 that throttles, stalls and drops connections in 5 % of requests: each job ends with what it gives locally."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from crossrank import storage
from crossrank.errors import CrossrankError
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.job import filter as filter_groups
from crossrank.filtering.settings import FilterSettings
from crossrank.formats.groups_parquet import write_groups
from crossrank.mining.job import mine
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings
from crossrank.translation.job import translate
from crossrank.translation.settings import TranslateSettings
from tests.data import corpora, mining
from tests.data.amazon_server import amazon_server
from tests.model import runs
from tests.ray.faulty_s3 import FAULTS, expired, faulty_s3
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.ray.s3_server import s3_server
from tests.ray.stand_ins import LoggedSpec
from tests.training.trained import assert_same_weights, given
from tests.unit.mining.in_process import WordSpec
from tests.unit.stand_ins import OverlapSpec

BUCKET = "faulty"
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file in which the server counts its faults; the environment leads to it."""
    with s3_server() as behind, faulty_s3(behind, tmp_path_factory.mktemp("faults")) as (endpoint, counted):
        boto3.client("s3", endpoint_url=behind).create_bucket(Bucket=BUCKET)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", endpoint)
            yield counted


@pytest.fixture
def lake(counts: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder of the bucket for the test alone; says what went wrong there."""
    yield f"s3://{BUCKET}/{request.node.name}"
    print(counts.read_text())


def send(file: Path, folder: str) -> str:
    uri = f"{folder}/{file.name}"
    storage.write_bytes(uri, file.read_bytes())
    return uri


def fetch(uri: str, folder: Path) -> Path:
    folder.mkdir()
    for stored in storage.list_files(uri):
        (folder / stored.uri.rsplit("/", 1)[1]).write_bytes(storage.read_bytes(stored.uri))
    return folder


def test_reranking(cluster: None, lake: str, tmp_path: Path) -> None:
    inputs, spec = Inputs.made(num_queries=60, depth=8), OverlapSpec()
    rerank(RerankSettings(**settings_of(inputs.write(str(tmp_path)), tmp_path / "out")), spec)
    run = f"{lake}/out.trec"
    rerank(RerankSettings(**settings_of(inputs.write(lake), f"{lake}/out", run=run)), spec)
    assert part_files(f"{lake}/out") == part_files(str(tmp_path / "out"))
    assert read_output(f"{lake}/out")["query_id"].to_pylist() == list(inputs.queries)


def test_translating_and_filtering(cluster: None, lake: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = corpora.made(200, 150)
    with amazon_server(tmp_path / "asked.jsonl", errors=0.05) as asked:
        monkeypatch.setenv("AWS_ENDPOINT_URL_TRANSLATE", asked.endpoint)
        write_groups(f"{lake}/groups.parquet", groups)
        told: dict[str, Any] = {"groups": f"{lake}/groups.parquet", "source": "en", "target": "ko"}
        told |= {"backend": "amazon", "memory": f"{lake}/memory", "concurrency": 4, "groups_per_part": 10}
        translate(TranslateSettings(**told, output=f"{lake}/ko"))
        assert asked.translated() == dict.fromkeys(corpora.unique_texts(groups), 1)
    assert corpora.read(f"{lake}/ko") == list(corpora.expected(groups))

    write_groups(str(tmp_path / "ko.parquet"), corpora.expected(groups))
    local = FilterSettings(groups=str(tmp_path / "ko.parquet"), source="en", target="ko", output=str(tmp_path / "out"))
    filter_groups(local)
    filter_groups(replace(local, groups=f"{lake}/ko", output=f"{lake}/filtered"))
    assert corpora.read(f"{lake}/filtered") == corpora.read(str(tmp_path / "out"))


def test_mining(cluster: None, lake: str, tmp_path: Path) -> None:
    spec, teacher = WordSpec(), LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.0)
    outputs = {}
    for folder in (str(tmp_path), lake):
        uris = mining.write(folder, num_groups=60, num_passages=300)
        outputs[folder] = f"{folder}/out"
        mine(mining.made(mining.settings_of(uris, outputs[folder], embeddings=f"{folder}/embeddings")), spec, teacher)
    assert mining.read_output(outputs[lake]).equals(mining.read_output(outputs[str(tmp_path)]))


def test_training(cluster: None, lake: str, tiny_model: str, tmp_path: Path) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=24)
    held_out = runs.write_groups(tmp_path / "held-out.jsonl", num_groups=6, seed=9)
    local = given(tiny_model, groups, tmp_path / "out", eval_groups=str(held_out), num_train_epochs=4, save_steps=2)
    train(TrainSettings(**local))
    remote = {"groups": send(groups, lake), "eval_groups": send(held_out, lake), "output": f"{lake}/out"}
    train(TrainSettings(**(local | remote)))
    assert_same_weights(fetch(f"{lake}/out", tmp_path / "fetched"), tmp_path / "out")


def test_evaluating(cluster: None, lake: str, tiny_model: str, tmp_path: Path) -> None:
    inputs = Inputs.made(num_queries=60, depth=8)
    qrels = "".join(f"{query} 0 {docs[3]} 1\n" for query, docs in inputs.candidates.items())
    found = []
    for folder in (str(tmp_path), lake):
        uris = inputs.write(folder) | {"qrels": f"{folder}/qrels.tsv"}
        storage.write_bytes(uris["qrels"], qrels.encode())
        shape: dict[str, Any] = {**uris, "output": f"{folder}/out", "max_length": 64, "timed_queries": 2}
        evaluate(EvaluateSettings(models=(f"tiny={tiny_model}",), gpus_per_worker=0.0, **shape))
        found.append(json.loads(storage.read_bytes(f"{folder}/out/results.json"))["tables"])
    assert found[0] == found[1]


def test_credentials_that_run_out_are_named_and_with_new_ones_the_same_job_goes_on(
    cluster: None, counts: Path, lake: str, tmp_path: Path
) -> None:
    inputs = Inputs.made(num_queries=100, depth=8)
    settings = RerankSettings(**settings_of(inputs.write(lake), f"{lake}/out"))
    spec = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.05)
    ran_out = threading.Event()

    def run_out() -> None:
        while len(storage.list_files(f"{lake}/out", suffix=".parquet")) < 20:
            time.sleep(0.05)
        expired(counts).touch()
        ran_out.set()

    thread = threading.Thread(target=run_out)
    thread.start()
    with pytest.raises(CrossrankError, match=r"access to s3://\S+ is denied; check the AWS credentials"):
        rerank(settings, spec)
    thread.join()
    expired(counts).unlink()
    assert ran_out.is_set()

    assert rerank(settings, spec)["rows"]["resumed"] >= 20
    assert ranked_of(read_output(f"{lake}/out")) == inputs.ranked(top_n=10)


def test_each_fault_was_among_them(counts: Path) -> None:
    counted = json.loads(counts.read_text())
    assert set(counted) == {"none", *FAULTS}, counted
    assert sum(counted.values()) - counted["none"] > 0.04 * sum(counted.values()), counted
