"""Ranks and whole runs are killed at random steps; the model that comes out is the same."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from crossrank.training.job import train
from crossrank.training.settings import TrainSettings
from tests.model import runs
from tests.ray.driver import Driver, kill, wait_for
from tests.training.trained import assert_close_weights, assert_same_weights, given

STARTS_S = 120.0
SLOW = {"num_train_epochs": 15, "save_steps": 5, "save_total_limit": 100}
"""165 steps, a checkpoint every 5: long enough to be killed."""


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ragged groups: 1 positive and 2 to 6 negatives."""
    return runs.write_groups(tmp_path_factory.mktemp("groups") / "groups.jsonl", num_groups=84)


class Killable:
    """A run in a process of its own, started again and again until it ends by itself."""

    def __init__(self, settings: dict[str, Any], folder: Path, drivers: list[Driver]) -> None:
        self._settings = settings
        self._folder = folder
        self._drivers = drivers
        self.output = Path(settings["output"])

    def start(self, **more: Any) -> Driver:
        log = self._folder / f"driver-{len(self._drivers)}.log"
        self._drivers.append(Driver.of_training(self._settings | more, log))
        return self._drivers[-1]

    def checkpoints(self) -> int:
        return len(list(self.output.glob("_checkpoint/step-*/complete.json")))

    def wait_for_checkpoints(self, driver: Driver, least: int) -> None:
        wait_for(lambda: self.checkpoints() >= least or not driver.running, STARTS_S, lambda: driver.said)
        assert driver.running, driver.said


def rank_processes(driver: Driver) -> list[psutil.Process]:
    """The ranks, which Ray calls RayTrainWorker."""
    found = []
    for process in driver.children():
        try:
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def seed() -> int:
    """Of the moments of the kills; give CROSSRANK_KILL_SEED to have the same ones again."""
    found = int(os.environ.get("CROSSRANK_KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"CROSSRANK_KILL_SEED={found}")
    return found


@pytest.fixture(scope="module")
def undisturbed(cluster: None, tiny_model: str, groups: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody killed."""
    output = tmp_path_factory.mktemp("undisturbed") / "model"
    train(TrainSettings(**given(tiny_model, groups, output, **SLOW)))
    return output


def test_a_worker_that_is_killed_is_replaced_and_the_result_is_the_same(
    undisturbed: Path, tiny_model: str, groups: Path, tmp_path: Path, drivers: list[Driver], seed: int
) -> None:
    rng = random.Random(seed)
    output = tmp_path / "model"
    run = Killable(given(tiny_model, groups, output, workers="2", **SLOW), tmp_path, drivers)
    driver = run.start()
    for least in (2, 8):
        run.wait_for_checkpoints(driver, least)
        time.sleep(rng.uniform(0.0, 0.5))
        ranks = rank_processes(driver)
        assert ranks, driver.said
        kill(rng.choice(ranks))
    assert driver.wait(STARTS_S) == 0, driver.said
    assert "going on from step" in driver.said
    assert "Traceback" not in driver.said, driver.said
    assert_close_weights(output, undisturbed)


def test_a_run_that_is_killed_whole_goes_on_at_the_exact_step(
    undisturbed: Path, tiny_model: str, groups: Path, tmp_path: Path, drivers: list[Driver], seed: int
) -> None:
    rng = random.Random(seed)
    output = tmp_path / "model"
    run = Killable(given(tiny_model, groups, output, **SLOW), tmp_path, drivers)
    for least in (2, 9):
        driver = run.start()
        run.wait_for_checkpoints(driver, least)
        time.sleep(rng.uniform(0.0, 0.5))
        assert driver.running, "the run was too short to be killed"
        driver.kill()
    driver = run.start()
    assert driver.wait(STARTS_S) == 0, driver.said
    assert "Traceback" not in driver.said, driver.said
    assert_same_weights(output, undisturbed)
    assert not list(output.rglob("*.tmp"))
