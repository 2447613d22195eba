"""Each row once, whatever is killed and whenever."""

from __future__ import annotations

import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from crossrank import storage
from crossrank.errors import JobFailed
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from tests.ray.driver import Driver, kill, wait_for, workers_below
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output, settings_of
from tests.ray.stand_ins import DeadlySpec, LoggedSpec, pairs_started

QUERIES, DEPTH = 240, 10
"""120 blocks of 2 queries, 20 pairs each."""
PROBE_PAIRS = 16
STARTS_S = 180.0
"""What a driver may take until it has scored something; 7 s on two idle cores."""
REPEATED_AT_MOST = 0.10


@pytest.fixture(scope="module")
def seed() -> int:
    """Of the moments of the kills; give CROSSRANK_KILL_SEED to have the same ones again."""
    return int(os.environ.get("CROSSRANK_KILL_SEED") or time.time_ns() % 1_000_000)


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Inputs.made(QUERIES, DEPTH, seed=5)


@pytest.fixture(scope="module")
def uninterrupted(
    cluster: None, inputs: Inputs, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], str]:
    """The inputs, and the output of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    uris = inputs.write(str(folder))
    settings = RerankSettings(**settings_of(uris, folder / "out"))
    rerank(settings, LoggedSpec(str(folder / "scored.log"), pair_s=0.0005))
    assert ranked_of(read_output(settings.output)) == inputs.ranked(top_n=10)
    return uris, settings.output


class Killable:
    """A job in a folder, run again and again until it ends by itself."""

    def __init__(self, uris: dict[str, str], folder: Path, drivers: list[Driver], pair_s: float) -> None:
        self.output = folder / "out"
        self.scored = folder / "scored.log"
        self._settings = settings_of(uris, self.output)
        self._spec = LoggedSpec(str(self.scored), pair_s)
        self._drivers = drivers
        self._folder = folder

    def start(self, **more: Any) -> Driver:
        """Run it in a process of its own, to be killed."""
        log = self._folder / f"driver-{len(self._drivers)}.log"
        self._drivers.append(Driver.of_job(self._settings | more, asdict(self._spec), log))
        return self._drivers[-1]

    def finish(self) -> dict[str, Any]:
        """Run it in this process, to its end."""
        return rerank(RerankSettings(**self._settings), self._spec)

    def parts(self) -> int:
        return len(list(self.output.glob("part-*.parquet")))

    def wait_for_more_parts(self, driver: Driver) -> None:
        before = self.parts()
        wait_for(lambda: self.parts() > before or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said


def same_as(uninterrupted: str, output: Path) -> None:
    """Row for row as one table, and file for file."""
    assert read_output(str(output)).equals(read_output(uninterrupted))
    assert part_files(str(output)) == part_files(uninterrupted)
    assert not [path for path in output.rglob("*") if path.suffix == ".tmp"]


def test_workers_and_drivers_are_killed_at_random_and_each_row_is_there_once(
    uninterrupted: tuple[dict[str, str], str], tmp_path: Path, drivers: list[Driver], seed: int
) -> None:
    print(f"CROSSRANK_KILL_SEED={seed}")
    rng = random.Random(seed)
    job = Killable(uninterrupted[0], tmp_path, drivers, pair_s=0.004)
    kills = 0

    first = job.start()
    job.wait_for_more_parts(first)
    for _ in range(2):
        time.sleep(rng.uniform(0.0, 1.5))
        kills += first.kill_worker()
        job.wait_for_more_parts(first)  # by itself, with a new worker
    time.sleep(rng.uniform(0.0, 1.5))
    first.kill()
    kills += 1
    # A reader sees whole parts and nothing else, also now.
    assert pq.read_table(job.output).num_rows == 2 * job.parts()

    second = job.start(workers="2")
    job.wait_for_more_parts(second)
    time.sleep(rng.uniform(0.0, 0.7))
    kills += second.kill_worker()
    job.wait_for_more_parts(second)
    time.sleep(rng.uniform(0.0, 0.7))
    assert second.running, "the job was too short to be killed"
    second.kill_alone()
    kills += 1
    parts = job.parts()
    time.sleep(0.5)
    assert job.parts() == parts < QUERIES / 2, "somebody goes on without the driver"

    manifest = job.finish()
    assert kills == 5
    assert manifest["rows"]["resumed"] == 2 * parts
    same_as(uninterrupted[1], job.output)
    repeated = pairs_started(job.scored, PROBE_PAIRS) / (QUERIES * DEPTH) - 1
    print(f"repeated {repeated:.1%} of the work after {kills} kills")
    assert 0 <= repeated < REPEATED_AT_MOST
    said = "".join(driver.said for driver in drivers)
    assert "Traceback" not in said, said
    assert "Warning" not in said, said


def test_a_driver_that_dies_while_a_worker_starts_leaves_nobody_that_goes_on(
    uninterrupted: tuple[dict[str, str], str], tmp_path: Path, drivers: list[Driver]
) -> None:
    job = Killable(uninterrupted[0], tmp_path, drivers, pair_s=0.004)
    driver = job.start(workers="2")
    job.wait_for_more_parts(driver)
    assert driver.kill_worker()
    wait_for(driver.is_starting_a_worker, STARTS_S, lambda: driver.said)
    driver.kill_alone()
    parts = job.parts()
    time.sleep(0.5)
    assert job.parts() == parts < QUERIES / 2

    assert job.finish()["rows"]["resumed"] == 2 * parts
    same_as(uninterrupted[1], job.output)


def test_a_worker_killed_while_it_loads_is_replaced(
    uninterrupted: tuple[dict[str, str], str], tmp_path: Path, drivers: list[Driver]
) -> None:
    job = Killable(uninterrupted[0], tmp_path, drivers, pair_s=0.0005)
    me = psutil.Process()
    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(job.finish)
        killed: set[int] = set()
        while len(killed) < 2 and not running.done():
            for process in workers_below(me.children(recursive=True)):
                kill(process)
                killed.add(process.pid)
            time.sleep(0.02)
        running.result(timeout=STARTS_S)
    assert len(killed) == 2
    same_as(uninterrupted[1], job.output)


def test_killed_while_preparing_it_prepares_again(
    uninterrupted: tuple[dict[str, str], str], tmp_path: Path, drivers: list[Driver]
) -> None:
    job = Killable(uninterrupted[0], tmp_path, drivers, pair_s=0.0005)
    driver = job.start()
    prepared = job.output / "_prepared"
    wait_for(lambda: (prepared / "block-00010.parquet").exists() or not driver.running, STARTS_S, lambda: driver.said)
    driver.kill()
    assert not (prepared / "plan.json").exists(), "too late for this test"

    assert job.finish()["rows"]["resumed"] == 0
    same_as(uninterrupted[1], job.output)


def test_what_a_kill_left_half_written_is_seen_by_nobody_and_removed(
    uninterrupted: tuple[dict[str, str], str], tmp_path: Path, drivers: list[Driver]
) -> None:
    job = Killable(uninterrupted[0], tmp_path, drivers, pair_s=0.0005)
    job.output.mkdir()
    for name in ("_part-00003.parquet.0123abcd.tmp", "_manifest.json.89abcdef.tmp"):
        (job.output / name).write_bytes(b"PAR1 half")
    assert storage.list_files(str(job.output)) == []

    job.finish()
    same_as(uninterrupted[1], job.output)


def test_a_block_that_kills_every_worker_ends_the_job_with_a_sentence(
    cluster: None, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crossrank.resumable.on_ray.attempts.AFTER_DEATH", 2)  # a worker takes seconds to start
    inputs = Inputs.made(num_queries=2, depth=4)
    settings = RerankSettings(**settings_of(inputs.write(str(tmp_path)), tmp_path / "out"))
    with pytest.raises(JobFailed, match=r"^block \d was given up after 3 workers had died with it, .* blocks are kept"):
        rerank(settings, DeadlySpec())
    assert "Traceback" not in capfd.readouterr().err
