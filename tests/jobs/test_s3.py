"""The job and the storage under it against a real S3 server on the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from crossrank import storage
from crossrank.errors import InputError, StorageError
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.output import read_json
from crossrank.storage.content_hash import fingerprint
from crossrank.storage.lease import LOCK, RENEW_S
from tests.ray.driver import Driver, wait_for
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.ray.s3_server import s3_server
from tests.ray.stand_ins import GatedSpec, LoggedSpec, pairs_started
from tests.unit.stand_ins import OverlapSpec

BUCKET = "ranking"
STARTS_S = 180.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield url


@pytest.fixture
def folder(endpoint: str, request: pytest.FixtureRequest) -> str:
    """A folder of the bucket for the test alone."""
    return f"s3://{BUCKET}/{request.node.name}"


def uploads_under_way() -> list[object]:
    return boto3.client("s3").list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


def test_a_job_from_s3_to_s3_gives_what_it_gives_locally(
    cluster: None, inputs: Inputs, folder: str, tmp_path: Path
) -> None:
    spec = OverlapSpec()
    local = settings_of(inputs.write(str(tmp_path)), tmp_path / "out", run=str(tmp_path / "out.trec"))
    rerank(RerankSettings(**local), spec)
    remote = settings_of(inputs.write(folder), f"{folder}/out", run=f"{folder}/out.trec")
    manifest = rerank(RerankSettings(**remote), spec)

    assert read_output(f"{folder}/out").equals(read_output(str(tmp_path / "out")))
    assert ranked_of(read_output(f"{folder}/out")) == inputs.ranked(top_n=10)
    assert part_files(f"{folder}/out") == part_files(str(tmp_path / "out"))
    assert storage.read_bytes(f"{folder}/out.trec") == (tmp_path / "out.trec").read_bytes()
    assert manifest["rows"]["out"] == 40
    assert rerank(RerankSettings(**remote), spec)["finished"] == manifest["finished"]  # there was nothing to do


def test_a_job_killed_on_s3_is_resumed_there_without_waiting_for_its_claim(
    cluster: None, folder: str, tmp_path: Path, drivers: list[Driver], capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = Inputs.made(num_queries=60, depth=20, seed=3)
    settings = settings_of(inputs.write(folder), f"{folder}/out")
    spec = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.004)
    driver = Driver.of_job(settings, asdict(spec), tmp_path / "driver.log")
    drivers.append(driver)
    wait_for(lambda: len(parts(settings)) > 8 or not driver.running, STARTS_S, lambda: driver.said)
    driver.kill()
    kept = part_files(f"{folder}/out")
    assert 8 < len(kept) < 60

    assert storage.exists(f"{folder}/out/{LOCK}")
    assert rerank(RerankSettings(**settings), spec)["rows"]["resumed"] == len(kept)
    assert f"was killed and left its claim on {folder}/out; going on in its place" in capsys.readouterr().err
    assert not storage.exists(f"{folder}/out/{LOCK}")
    assert ranked_of(read_output(f"{folder}/out")) == inputs.ranked(top_n=10)
    assert kept.items() <= part_files(f"{folder}/out").items()
    assert pairs_started(tmp_path / "scored.log", pairs_of_probe=16) <= 60 * 20 * 1.1
    assert not uploads_under_way()


@dataclass(frozen=True)
class AtWork:
    """A job as a process of its own, which is at work until the file `gate` is there."""

    inputs: Inputs
    settings: dict[str, Any]
    spec: GatedSpec
    driver: Driver
    folder: Path

    def second(self) -> Driver:
        return Driver.of_job(self.settings, asdict(self.spec), self.folder / "second.log")

    def let_go(self) -> int:
        """Exit status of the job."""
        Path(self.spec.gate).touch()
        return self.driver.wait(STARTS_S)


@pytest.fixture
def at_work(endpoint: str, folder: str, tmp_path: Path, inputs: Inputs, drivers: list[Driver]) -> AtWork:
    settings = settings_of(inputs.write(folder), f"{folder}/out")
    spec = GatedSpec(str(tmp_path / "scored.log"), str(tmp_path / "gate"))
    driver = Driver.of_job(settings, asdict(spec), tmp_path / "driver.log")
    drivers.append(driver)
    prepared = f"{folder}/out/_prepared/plan.json"
    wait_for(lambda: storage.exists(prepared) or not driver.running, STARTS_S, lambda: driver.said)
    assert driver.running, driver.said
    return AtWork(inputs, settings, spec, driver, tmp_path)


def test_a_second_job_with_one_output_is_refused_and_does_no_harm_to_the_first(
    at_work: AtWork, folder: str, drivers: list[Driver]
) -> None:
    second = at_work.second()
    drivers.append(second)
    assert second.wait(STARTS_S) != 0
    assert (
        second.said.rstrip()
        .splitlines()[-1]
        .endswith(f"is at work on {folder}/out; wait for its end, or name another --output")
    )
    assert not second.workers()

    assert at_work.let_go() == 0, at_work.driver.said
    assert ranked_of(read_output(f"{folder}/out")) == at_work.inputs.ranked(top_n=10)
    assert pairs_started(Path(at_work.spec.log), pairs_of_probe=16) == 40 * 8, "each once"
    assert not storage.exists(f"{folder}/out/{LOCK}")


def test_a_job_whose_output_was_taken_over_stops_before_its_manifest_and_the_other_goes_on(
    cluster: None, at_work: AtWork, folder: str
) -> None:
    # As after half a minute without a network. What it had written is what the other would have.
    lock = f"{folder}/out/{LOCK}"
    storage.write_bytes(lock, b'{"run": "other", "holder": "process 1 of a machine"}')
    time.sleep(RENEW_S + 1)
    assert at_work.let_go() == 1
    assert f"JobFailed: another job writes {folder}/out, since" in at_work.driver.said
    assert read_json(f"{folder}/out/_manifest.json")["state"] == "running"
    assert not storage.exists(f"{folder}/out/_rejected")
    assert storage.read_bytes(lock).startswith(b'{"run": "other"'), "it is the other's"

    storage.delete(lock)
    manifest = rerank(RerankSettings(**at_work.settings), at_work.spec)
    assert manifest["rows"]["out"] == 40
    assert ranked_of(read_output(f"{folder}/out")) == at_work.inputs.ranked(top_n=10)


def parts(settings: dict[str, Any]) -> list[storage.StoredFile]:
    return storage.list_files(settings["output"], suffix=".parquet")


def test_a_model_on_s3_is_scored_with(cluster: None, folder: str, tiny_model: str) -> None:
    for path in Path(tiny_model).iterdir():
        storage.write_bytes(f"{folder}/model/{path.name}", path.read_bytes())
    inputs = Inputs.made(num_queries=3, depth=4, num_documents=8)
    settings = settings_of(inputs.write(folder), f"{folder}/out", max_length=64) | {"model": f"{folder}/model"}
    rerank(RerankSettings(**settings))

    from crossrank import Reranker

    reranker = Reranker.load(tiny_model, device="cpu", max_length=64)
    for row in read_output(f"{folder}/out").to_pylist():
        scores = reranker.score([(row["query"], inputs.documents[doc["doc_id"]]) for doc in row["docs"]])
        assert [doc["score"] for doc in row["docs"]] == pytest.approx(scores.tolist(), rel=1e-5, abs=1e-5)


def rerank_command(flags: dict[str, str], log: Path, env: dict[str, str] | None = None) -> tuple[int, str, set[str]]:
    """Exit status of the command, what it said, and the names of all processes that it ever had below it."""
    command = [sys.executable, "-m", "crossrank", "rerank"]
    for name, value in flags.items():
        command += [f"--{name}", value]
    driver = Driver(command, log, env)
    try:
        children = driver.ever_below()
    finally:
        driver.close()
    return driver.wait(1), driver.said, children


def test_a_job_that_is_told_to_end_lets_go_its_claim_and_says_one_sentence(
    endpoint: str, folder: str, tiny_model: str, tmp_path: Path, drivers: list[Driver]
) -> None:
    inputs = Inputs.made(num_queries=2000, depth=20, num_documents=40)  # more than is scored until it is told
    flags = {**inputs.write(folder), "model": tiny_model, "output": f"{folder}/out", "max-length": "64"}
    command = [sys.executable, "-m", "crossrank", "rerank"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    job = Driver(command, tmp_path / "job.log")
    drivers.append(job)
    prepared = f"{folder}/out/_prepared/plan.json"
    wait_for(lambda: storage.exists(prepared) or not job.running, STARTS_S, lambda: job.said)
    assert storage.exists(f"{folder}/out/{LOCK}")
    job.terminate()
    assert job.wait(60) == 1, job.said
    assert job.said.splitlines()[-1] == "crossrank: stopped before its end; run the same command again"
    assert "SIGTERM received" not in job.said, "that is Ray's, with addresses of memory"
    assert "Traceback" not in job.said
    assert not storage.exists(f"{folder}/out/{LOCK}")


@pytest.mark.parametrize("missing", ["queries", "output", "model"])
def test_a_bucket_that_does_not_exist_is_named_and_ray_never_started(
    endpoint: str, inputs: Inputs, tiny_model: str, tmp_path: Path, missing: str
) -> None:
    flags = {**inputs.write(str(tmp_path)), "model": tiny_model, "output": str(tmp_path / "out")}
    flags[missing] = "s3://no-such-bucket/there"
    status, said, children = rerank_command(flags, tmp_path / "driver.log")

    assert status == 2, said
    sentence = last_sentence(said)
    assert sentence.startswith("crossrank: the bucket no-such-bucket of s3://no-such-bucket/there")
    assert sentence.endswith("does not exist; create it or name another")
    assert not {name for name in children if "ray" in name or "gcs" in name}, children
    assert "starting a local Ray" not in said


def last_sentence(stderr: str) -> str:
    """The one line that is meant for the user; the others are log lines with the time of day."""
    assert "Traceback" not in stderr
    sentences = [line for line in stderr.splitlines() if line.startswith("crossrank:")]
    assert len(sentences) == 1, stderr
    assert stderr.rstrip().endswith(sentences[0]), stderr
    return sentences[0]


def test_an_endpoint_that_refuses_is_named_within_seconds(
    inputs: Inputs, tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = {**inputs.write(str(tmp_path)), "model": tiny_model, "output": "s3://ranking/out"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    status, said, _ = rerank_command(flags, tmp_path / "driver.log")

    assert status == 2, said
    assert "s3://ranking/out/_manifest.json cannot be reached; check AWS_ENDPOINT_URL" in last_sentence(said)
    # In this process: what a busy machine takes to start another one is not the endpoint's time.
    started = time.monotonic()
    with pytest.raises(StorageError, match="cannot be reached; check AWS_ENDPOINT_URL"):
        storage.exists("s3://ranking/out/_manifest.json")
    assert time.monotonic() - started < 30


def test_an_endpoint_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossrank.storage.files.S3_SILENCE_S", 1)
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:  # takes connections, and says nothing
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(StorageError, match="cannot be reached; check AWS_ENDPOINT_URL"):
            storage.exists("s3://ranking/x")
    # Arrow tries five times.
    assert time.monotonic() - started < 20


def test_access_denied_is_said() -> None:
    """A server that knows nobody, as S3 answers to wrong keys."""
    script = (
        "from crossrank import storage\n"
        "from crossrank.errors import StorageError\n"
        "for work in (storage.read_bytes, storage.list_files, lambda uri: storage.write_bytes(uri, b'x')):\n"
        "    try:\n"
        "        work('s3://ranking/x')\n"
        "    except StorageError as error:\n"
        "        print(error)\n"
    )
    with s3_server(INITIAL_NO_AUTH_ACTION_COUNT="0") as url:
        env = os.environ | {"AWS_ENDPOINT_URL": url}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    denied = "access to s3://ranking/x is denied; check the AWS credentials and the bucket's policy"
    assert done.stdout.splitlines() == [denied] * 3, done.stdout


def test_listing_shows_files_and_not_folders_or_neighbours(folder: str) -> None:
    for name in ("a/1.txt", "a/2.parquet", "a/below/3.txt", "ab/4.txt"):
        storage.write_bytes(f"{folder}/{name}", name.encode())

    assert [file.uri for file in storage.list_files(f"{folder}/a")] == [f"{folder}/a/1.txt", f"{folder}/a/2.parquet"]
    assert [file.uri for file in storage.list_files(f"{folder}/a/", suffix=".parquet")] == [f"{folder}/a/2.parquet"]
    assert len(storage.list_files(folder, recursive=True)) == 4
    assert [file.num_bytes for file in storage.list_files(f"{folder}/a/1.txt")] == [7]
    assert storage.list_files(f"{folder}/nothing") == []
    assert storage.is_folder(f"{folder}/a")
    assert not storage.is_folder(f"{folder}/a/1.txt")


def test_deleting_takes_a_file_or_a_folder_and_nothing_beside_it(folder: str) -> None:
    for name in ("a/1", "a/2", "ab/3"):
        storage.write_bytes(f"{folder}/{name}", b"x")
    storage.delete(f"{folder}/a/1")
    assert [file.uri for file in storage.list_files(folder, recursive=True)] == [f"{folder}/a/2", f"{folder}/ab/3"]
    storage.delete(f"{folder}/a")
    assert not storage.exists(f"{folder}/a")
    assert storage.exists(f"{folder}/ab/3")
    storage.delete(f"{folder}/a")


def test_what_is_broken_off_while_writing_leaves_nothing(folder: str) -> None:
    def write_half() -> None:
        with storage.writing(f"{folder}/half") as stream:
            stream.write(b"x" * (12 << 20))  # over the size from which Arrow uploads in parts
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        write_half()
    assert not storage.exists(f"{folder}/half")
    assert not uploads_under_way()


def test_a_large_file_comes_back_as_it_was_written(folder: str) -> None:
    content = os.urandom(12 << 20)
    storage.write_bytes(f"{folder}/large", content)
    assert storage.read_bytes(f"{folder}/large") == content
    assert not uploads_under_way()


def test_a_fingerprint_is_of_the_content_wherever_it_lies(folder: str, tmp_path: Path) -> None:
    for root in (folder, str(tmp_path / "local")):
        storage.write_bytes(f"{root}/in/a", b"1")
        storage.write_bytes(f"{root}/in/b/c", b"2")
    assert fingerprint(f"{folder}/in") == fingerprint(str(tmp_path / "local" / "in"))
    before = fingerprint(f"{folder}/in")
    storage.write_bytes(f"{folder}/in/a", b"1")
    assert fingerprint(f"{folder}/in") == before
    storage.write_bytes(f"{folder}/in/a", b"3")
    assert fingerprint(f"{folder}/in") != before


def test_a_key_or_a_bucket_that_is_not_there_is_told_apart(folder: str) -> None:
    with pytest.raises(InputError, match=r"/nothing does not exist; check the path"):
        storage.read_bytes(f"{folder}/nothing")
    for look in (storage.exists, storage.list_files, storage.read_bytes, fingerprint):
        with pytest.raises(StorageError, match=r"^the bucket no-such-bucket of s3://no-such-bucket/x does not exist"):
            look("s3://no-such-bucket/x")
    with pytest.raises(StorageError, match="names no bucket"):
        storage.exists("s3://")
