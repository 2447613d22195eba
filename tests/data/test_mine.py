"""Mining on a real Ray: any number of workers, killed and run again, from S3 and to it."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.formats.groups_parquet import read_groups
from crossrank.mining.job import mine
from tests.data.mining import driver_of, made, read_output, settings_of, write
from tests.ray.driver import Driver, wait_for
from tests.ray.inputs import part_files
from tests.ray.s3_server import s3_server
from tests.ray.stand_ins import DeadlySpec, LoggedSpec, RefusingSpec
from tests.unit.mining.in_process import WordSpec

GROUPS, PASSAGES, SHARDS = 200, 9000, 3
"""100 blocks of 2 groups, and three shards of 4,096 rows at most."""
STARTS_S = 180.0


@dataclass(frozen=True)
class Undisturbed:
    """The inputs, and what a job gave that nobody disturbed."""

    uris: dict[str, str]
    output: str


@pytest.fixture(scope="module")
def undisturbed(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    uris = write(str(folder), GROUPS, PASSAGES)
    settings = settings_of(uris, folder / "out", workers="1", embeddings=str(folder / "embeddings"))
    manifest = mine(made(settings), WordSpec(), LoggedSpec(str(folder / "scored.log"), pair_s=0.0))
    assert manifest["rows"]["out"] == GROUPS
    assert manifest["mined"] > 3 * GROUPS
    return Undisturbed(uris, settings["output"])


def test_the_result_is_groups_that_training_reads_each_once(undisturbed: Undisturbed) -> None:
    def reject(row: object) -> None:
        raise AssertionError(row)

    groups = [group for _, group in read_groups(undisturbed.output, reject)]
    assert [group.query_id for group in groups] == [f"q{n}" for n in range(GROUPS)]
    for number, group in enumerate(groups):
        *negatives, positive = group.docs  # which has no rank, and so follows those that have one
        assert (positive.doc_id, positive.label) == (f"d{number}", 1.0)
        assert [doc.rank for doc in negatives] == sorted(doc.rank or 0 for doc in negatives)
        assert len({doc.doc_id for doc in group.docs}) == len(group.docs) >= 2
        assert all(doc.label == 0.0 and doc.teacher_score is not None for doc in negatives)
    sources = {doc.source for group in groups for doc in group.docs if doc.label == 0.0}
    assert sources == {"bm25", "dense", "bm25+dense"}


def test_the_number_of_workers_changes_nothing(undisturbed: Undisturbed, tmp_path: Path) -> None:
    settings = settings_of(undisturbed.uris, tmp_path / "out", workers="3", embeddings=str(tmp_path / "embeddings"))
    mine(made(settings), WordSpec(), LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.0))
    assert part_files(settings["output"]) == part_files(undisturbed.output)


@pytest.mark.timeout(1200)  # four drivers, each of which may take STARTS_S
def test_workers_and_drivers_are_killed_and_each_group_is_there_once(
    undisturbed: Undisturbed, tmp_path: Path, drivers: list[Driver]
) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    rng = random.Random(seed)
    output, embeddings = tmp_path / "out", tmp_path / "embeddings"
    settings = settings_of(undisturbed.uris, output, workers="2", embeddings=str(embeddings))
    encoder = WordSpec(log=str(tmp_path / "encoded.log"), pause_s=1.0)
    teacher = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.01)

    def number_of(pattern: str) -> int:
        return len(list(tmp_path.glob(pattern)))

    def killed_when(pattern: str, least: int) -> None:
        driver = driver_of(settings, encoder, teacher, tmp_path / f"driver-{len(drivers)}.log")
        drivers.append(driver)
        wait_for(lambda: number_of(pattern) >= least or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said
        time.sleep(rng.uniform(0.0, 0.3))
        driver.kill()
        assert "Traceback" not in driver.said, driver.said

    killed_when("embeddings/*/vectors-*.npy", 1)
    killed_when("out/_prepared/found-*.parquet", 3)
    searched = number_of("out/_prepared/found-*.parquet")
    killed_when("out/part-*.parquet", 5)
    kept = part_files(str(output))
    assert 5 <= len(kept) < 100
    assert number_of("out/_prepared/found-*.parquet") == 100 >= searched

    third = driver_of(settings, encoder, teacher, tmp_path / "driver-worker.log")
    drivers.append(third)
    wait_for(lambda: number_of("out/part-*.parquet") > len(kept) + 3, STARTS_S, lambda: third.said)
    assert third.kill_worker()
    assert third.wait(STARTS_S) == 0, third.said

    assert part_files(str(output)) == part_files(undisturbed.output)
    assert read_output(str(output)).equals(read_output(undisturbed.output))
    manifest = json.loads((output / "_manifest.json").read_text())
    assert manifest["rows"]["resumed"] == 2 * len(kept)
    calls = Path(encoder.log or "").read_text().split()
    # Shards that a kill left unfinished are encoded again: at most two, one a worker.
    assert SHARDS <= len(calls) <= SHARDS + 2
    assert not [path for path in output.rglob("*") if path.suffix == ".tmp"]


def test_a_job_from_s3_to_s3_gives_what_it_gives_locally(undisturbed: Undisturbed, tmp_path: Path) -> None:
    with s3_server() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", url)
        boto3.client("s3").create_bucket(Bucket="mining")
        uris = write("s3://mining/in", GROUPS, PASSAGES)
        settings = settings_of(uris, "s3://mining/out", workers="2", embeddings="s3://mining/embeddings")
        teacher = LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.0)
        manifest = mine(made(settings), WordSpec(), teacher)
        assert part_files("s3://mining/out") == part_files(undisturbed.output)
        assert len(storage.list_files("s3://mining/embeddings", recursive=True)) == SHARDS
        assert mine(made(settings), WordSpec(), teacher)["finished"] == manifest["finished"]


def test_what_a_worker_refuses_reaches_the_user_as_its_sentence(undisturbed: Undisturbed, tmp_path: Path) -> None:
    marker = tmp_path / "loaded"
    marker.touch()
    settings = settings_of(undisturbed.uris, tmp_path / "out", limit=4, encoder=None)
    with pytest.raises(Exception, match=r"^the folder was emptied meanwhile; put the model back$"):
        mine(made(settings), None, RefusingSpec(str(marker)))


def test_a_block_that_kills_every_worker_ends_the_job_with_a_sentence(
    undisturbed: Undisturbed, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.resumable.on_ray.attempts.AFTER_DEATH", 1)  # a worker takes seconds to start
    settings = settings_of(undisturbed.uris, tmp_path / "out", limit=1, encoder=None)
    with pytest.raises(
        JobFailed, match=r"^block 0 was given up after 2 workers had died with it, .*; finished blocks are kept"
    ):
        mine(made(settings), None, DeadlySpec())
    assert "Traceback" not in capfd.readouterr().err


def test_a_dry_run_measures_on_a_worker(undisturbed: Undisturbed, tmp_path: Path) -> None:
    settings = settings_of(undisturbed.uris, tmp_path / "out", dry_run=True, embeddings=str(tmp_path / "embeddings"))
    plan = mine(made(settings), WordSpec(), LoggedSpec(str(tmp_path / "scored.log"), pair_s=0.001))
    assert (plan["groups"], plan["passages"], plan["passages_to_encode"]) == (GROUPS, PASSAGES, PASSAGES)
    assert plan["pairs"] == GROUPS * (1 + 4)
    assert not (tmp_path / "out").exists()
