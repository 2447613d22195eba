"""A head and three workers that share a network with an S3 server and nothing else: each job loses one in its middle.

What comes out is what one machine gives that nobody disturbs.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crossrank import Reranker, storage
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.formats.groups_parquet import write_groups
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings
from tests.data import corpora
from tests.machines.nodes import BUCKET, HEAD, SERVE_PORT, Machines, machines
from tests.model import runs
from tests.ray.driver import ROOT, wait_for
from tests.ray.inputs import Inputs, read_output
from tests.serving.asking import Asking
from tests.serving.head import write
from tests.training.trained import assert_same_weights, given

ENDS_S = 600.0
"""What a job may take on two busy cores, the loss of a node included."""
NOTICED_S = 20.0
"""After a machine was lost, its requests have ended and no new one is sent to it."""

pytestmark = pytest.mark.timeout(900)

Flags = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with machines(tmp_path_factory.mktemp("machines")) as running, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_TRANSLATE"):
            patch.setenv(name, running.env[name])
        yield running


@pytest.fixture
def cluster_of_machines(whole: Machines) -> Machines:
    """With all its workers: those that an earlier test lost are replaced."""
    whole.start_workers()
    return whole


@pytest.fixture
def lake(whole: Machines, request: pytest.FixtureRequest) -> str:
    """A folder of the bucket for the test alone."""
    return f"s3://{BUCKET}/{request.node.name}"


@pytest.fixture
def seed() -> int:
    """Of the moments of the kills; give CROSSRANK_KILL_SEED to have the same ones again."""
    found = int(os.environ.get("CROSSRANK_KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"CROSSRANK_KILL_SEED={found}")
    return found


def flags_of(settings: Flags) -> list[str]:
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def send(folder: Path | str, uri: str) -> str:
    """The files of a folder of this machine, in the bucket."""
    for path in Path(folder).iterdir():
        if path.is_file():
            storage.write_bytes(storage.join(uri, path.name), path.read_bytes())
    return uri


def fetch(uri: str, folder: Path) -> Path:
    """The files of a folder of the bucket, here."""
    folder.mkdir()
    for stored in storage.list_files(uri):
        (folder / stored.uri.rsplit("/", 1)[1]).write_bytes(storage.read_bytes(stored.uri))
    return folder


def run_and_lose_one(
    cluster: Machines, verb: str, settings: Flags, name: str, done: Any, log: Path, seed: int, unplugged: bool = False
) -> str:
    """Submit a job, lose a worker that works for it once something is done, and wait for its end; what it said.

    Args:
        name: what Ray calls the processes that work for it.
        done: whether enough is done.
        unplugged: nobody hears that it is gone, as when the machine itself fails.
    """
    process = cluster.submit(verb, "--", *flags_of(settings), log=log)
    try:
        wait_for(lambda: done() or process.poll() is not None, ENDS_S, log.read_text)
        time.sleep(random.Random(seed).uniform(0.0, 0.5))
        at_work = cluster.working(name)
        assert process.poll() is None, log.read_text()
        assert at_work, f"no process of {name}"
        lose = cluster.unplug if unplugged else cluster.kill
        lose(random.Random(seed).choice(at_work))
        process.wait(ENDS_S)
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def num_parts(output: str) -> int:
    return len([file for file in storage.list_files(output, suffix=".parquet") if "/part-" in file.uri])


def test_reranking_loses_a_machine_and_no_row(
    cluster: None, cluster_of_machines: Machines, minilm: str, lake: str, tmp_path: Path, seed: int
) -> None:
    inputs = Inputs.made(num_queries=120, depth=12)
    shape: Flags = {"max_length": 64, "workers": "3"}
    local: Flags = {**inputs.write(str(tmp_path)), "model": minilm, "output": str(tmp_path / "out")}
    rerank(RerankSettings(**(local | shape | {"workers": "2"})))
    settings = {**inputs.write(lake), "model": send(minilm, f"{lake}/model"), "output": f"{lake}/out"} | shape
    said = run_and_lose_one(
        cluster_of_machines,
        "rerank",
        settings,
        "MapWorker",
        lambda: num_parts(f"{lake}/out") > 10,
        tmp_path / "log",
        seed,
        unplugged=True,
    )
    assert "finished: 120 queries (120 ranked, 0 rejected), 1,440 pairs" in said

    expected, found = read_output(str(tmp_path / "out")), read_output(f"{lake}/out")
    assert found["query_id"].to_pylist() == list(inputs.queries)
    for ours, theirs in zip(found["docs"].to_pylist(), expected["docs"].to_pylist(), strict=True):
        assert [doc["doc_id"] for doc in ours] == [doc["doc_id"] for doc in theirs]
        assert [doc["score"] for doc in ours] == pytest.approx([doc["score"] for doc in theirs], abs=1e-5)


def test_translating_loses_a_machine_and_pays_no_text_twice_but_those_under_way(
    cluster: None, cluster_of_machines: Machines, lake: str, tmp_path: Path, seed: int
) -> None:
    groups = corpora.made(800, 800)
    write_groups(f"{lake}/groups.parquet", groups)
    settings = {"groups": f"{lake}/groups.parquet", "source": "en", "target": "ko", "backend": "amazon"}
    settings |= {"output": f"{lake}/ko", "memory": f"{lake}/memory", "concurrency": "4", "workers": "2"}
    asked = cluster_of_machines.asked
    run_and_lose_one(
        cluster_of_machines,
        "translate",
        settings,
        "ServiceWorker",
        lambda: asked.translated().total() > 200,
        tmp_path / "log",
        seed,
    )
    assert corpora.read(f"{lake}/ko") == list(corpora.expected(groups))
    translated, texts = asked.translated(), corpora.unique_texts(groups)
    assert translated.keys() == texts
    # Requests of the lost machine that were under way, of which nobody heard whether they were answered.
    assert translated.total() - len(texts) <= 4


def test_training_loses_a_machine_and_gives_the_weights_that_it_would_have_given(
    cluster: None, cluster_of_machines: Machines, tiny_model: str, lake: str, tmp_path: Path, seed: int
) -> None:
    groups = runs.write_groups(tmp_path / "groups.jsonl", num_groups=84)
    more = {"num_train_epochs": 15, "save_steps": 5, "save_total_limit": 100, "workers": "2"}
    local = given(tiny_model, groups, tmp_path / "out", **more)
    train(TrainSettings(**local))
    storage.write_bytes(f"{lake}/groups.jsonl", groups.read_bytes())
    of_run = ("base", "groups", "output")
    recipe = tmp_path / "train.yaml"
    recipe.write_text(yaml.safe_dump({name: value for name, value in local.items() if name not in of_run}))
    remote = {"config": str(recipe), "base": send(tiny_model, f"{lake}/base"), "groups": f"{lake}/groups.jsonl"}
    remote |= {"output": f"{lake}/out"}

    def two_checkpoints() -> bool:
        kept = storage.list_files(f"{lake}/out/_checkpoint", recursive=True)
        return sum(file.uri.endswith("/complete.json") for file in kept) >= 2

    said = run_and_lose_one(
        cluster_of_machines, "train", remote, "RayTrainWorker", two_checkpoints, tmp_path / "log", seed
    )
    assert "going on from step" in said
    assert_same_weights(fetch(f"{lake}/out", tmp_path / "fetched"), tmp_path / "out")


def test_evaluating_loses_a_machine_and_gives_the_same_table(
    cluster: None, cluster_of_machines: Machines, minilm: str, lake: str, tmp_path: Path, seed: int
) -> None:
    inputs = Inputs.made(num_queries=100, depth=20)
    names: Flags = {**inputs.write(str(tmp_path)), "qrels": str(tmp_path / "qrels.tsv")}
    judged = [f"{query} 0 {docs[7]} 1\n" for query, docs in inputs.candidates.items()]
    (tmp_path / "qrels.tsv").write_text("".join(judged))
    shape: Flags = {"max_length": 64, "timed_queries": 2}
    (tmp_path / "shape.yaml").write_text(yaml.safe_dump(shape))
    local = evaluate(EvaluateSettings(**names, models=(f"minilm={minilm}",), output=str(tmp_path / "out"), **shape))
    remote = {**inputs.write(lake), "qrels": f"{lake}/qrels.tsv", "models": f"minilm={send(minilm, f'{lake}/model')}"}
    storage.write_bytes(f"{lake}/qrels.tsv", "".join(judged).encode())
    run_and_lose_one(
        cluster_of_machines,
        "evaluate",
        remote | {"output": f"{lake}/out", "config": str(tmp_path / "shape.yaml")},
        "MapWorker",
        lambda: num_parts(f"{lake}/out/_rows/minilm") > 5,
        tmp_path / "log",
        seed,
    )
    found = json.loads(storage.read_bytes(f"{lake}/out/results.json"))
    assert found["tables"] == json.loads(json.dumps(local["tables"]))


def test_serving_goes_on_while_a_machine_dies(
    cluster_of_machines: Machines, tiny_model: str, lake: str, tmp_path: Path
) -> None:
    body: Any = {"query": "how long?", "texts": ["four hours", "the warranty is one year"], "raw_scores": True}
    logits = Reranker.load(tiny_model, device="cpu").score([(body["query"], text) for text in body["texts"]])
    right = pytest.approx(dict(enumerate(logits.tolist())), abs=1e-5)
    args: Any = {"model": send(tiny_model, f"{lake}/model"), "min_replicas": 3, "max_replicas": 3, "threads": 1}
    http: Any = {"host": "0.0.0.0", "port": SERVE_PORT}
    file = write(tmp_path / "file.yaml", "autoscaled.yaml", http, gpus_per_replica=0, without_keys=True, **args)
    config = yaml.safe_load(file.read_text())
    config["applications"][0]["runtime_env"] = {"py_modules": [shipped(f"{lake}/crossrank.zip", tmp_path)]}
    file.write_text(yaml.safe_dump(config))
    head = cluster_of_machines.head
    try:
        head.deploy(file)
        head.wait_for("RUNNING")
        [lost, *_] = cluster_of_machines.working("ServeReplica")
        with Asking(f"http://{HEAD}:{SERVE_PORT}/rerank", body, num_clients=4) as asking:
            asking.wait_for(100)
            cluster_of_machines.kill(lost)
            time.sleep(NOTICED_S)
            noticed = time.monotonic()
            asking.wait_for(200)
    finally:
        head.shut_down()
    print(asking.outcomes, max(reply.seconds for reply in asking.replies))
    assert all(reply.scores == right for reply in asking.replies if reply.outcome == "200")
    assert all(reply.outcome == "200" for reply in asking.since(noticed))
    assert set(asking.outcomes) <= {"200", "closed", "500", "503"}, asking.outcomes
    assert asking.outcomes["200"] > 0.9 * len(asking.replies)


def shipped(uri: str, folder: Path) -> str:
    """The package as an archive in the bucket, as docs/operations.md has it."""
    # Ray takes off the one folder at the top of an archive.
    source = folder / "archive" / "platform" / "crossrank"
    shutil.copytree(ROOT / "platform" / "crossrank", source, ignore=shutil.ignore_patterns("__pycache__"))
    archive = shutil.make_archive(str(folder / "crossrank"), "zip", folder / "archive")
    storage.write_bytes(uri, Path(archive).read_bytes())
    return uri
