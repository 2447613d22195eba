"""`rerank_dataset` in clusters of one and two CPUs, beside stages that want them all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.ray.driver import ROOT

NUM_ROWS = 12
START = """
import json, sys
import ray
cpus, workers, model, folder = json.loads(sys.argv[1])
ray.init(address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
ray.data.DataContext.get_current().enable_progress_bars = False
from crossrank import errors, rerank_dataset
from crossrank.reranking.on_ray import watchdog

class Stage:
    def __call__(self, batch):
        return batch

def told(rows):
    print(json.dumps(sorted((row["number"], row["status"], len(row["ranking"])) for row in rows)))

source = ray.data.read_parquet(folder)
actors = ray.data.ActorPoolStrategy
"""
EXPECTED = [[number, "ok", 2] for number in range(NUM_ROWS)]


def run(script: str, cpus: int, workers: int, model: str, tmp_path: Path) -> Any:
    """The last line that a program says, which starts a Ray of its own; it may take two minutes."""
    table = pa.table({"number": range(NUM_ROWS), "query": ["charge"] * NUM_ROWS, "docs": [["a", "b"]] * NUM_ROWS})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=4)
    arguments = json.dumps([cpus, workers, model, str(tmp_path / "in.parquet")])
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as ray:  # short: sockets lie in it
        done = subprocess.run(
            [sys.executable, "-c", START + script, arguments],
            env=os.environ | {"RAY_TMPDIR": ray, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("cpus", "workers"), [(1, 1), (2, 2)])
def test_it_ends_where_its_workers_are_as_many_as_the_cpus(
    cpus: int, workers: int, tiny_model: str, tmp_path: Path
) -> None:
    script = "told(rerank_dataset(source, model=model, workers=workers, batch_queries=4).take_all())"
    assert run(script, cpus, workers, tiny_model, tmp_path) == EXPECTED


@pytest.mark.timeout(300)
def test_it_ends_on_one_cpu_between_stages_of_tasks_that_are_written_to_a_file(tiny_model: str, tmp_path: Path) -> None:
    script = """
before = source.map_batches(Stage(), batch_format="pandas").filter(lambda row: row["number"] >= 0)
ranked = rerank_dataset(before, model=model, batch_queries=4)
ranked.map(lambda row: {**row, "more": 1}).write_parquet(folder + ".out")
told(ray.data.read_parquet(folder + ".out").take_all())
"""
    assert run(script, 1, 1, tiny_model, tmp_path) == EXPECTED


@pytest.mark.timeout(300)
def test_it_ends_on_two_cpus_between_stages_of_tasks_and_a_stage_of_actors(tiny_model: str, tmp_path: Path) -> None:
    script = """
before = source.map_batches(Stage, num_cpus=1, compute=actors(size=1))
told(rerank_dataset(before, model=model, workers=workers, batch_queries=4).map(lambda row: row).take_all())
"""
    assert run(script, 2, 1, tiny_model, tmp_path) == EXPECTED


@pytest.mark.timeout(300)
def test_stages_that_wait_for_each_other_are_named_and_not_waited_for(tiny_model: str, tmp_path: Path) -> None:
    # Both CPUs are held by a stage of somebody else, so that nothing can list the files to read.
    script = """
watchdog.STALLED_S = 5.0
ranked = rerank_dataset(source, model=model, workers=workers)
try:
    ranked.map_batches(Stage, num_cpus=1, compute=actors(size=2)).take_all()
except errors.SettingsError as error:
    print(json.dumps(str(error)))
"""
    told = run(script, 2, 1, tiny_model, tmp_path)
    assert told.startswith("the stages of the pipeline wait for each other: ListFiles waits for 1 CPU, and ")
    assert "MapBatches(Stage) holds 2 of 2 CPU with 2 workers; give Ray more logical CPUs" in told


@pytest.mark.timeout(300)
def test_a_pipeline_that_is_slow_and_not_stuck_is_left_alone(tiny_model: str, tmp_path: Path) -> None:
    script = """
import time
watchdog.STALLED_S = 2.0

def slow(batch):
    time.sleep(8)
    return batch

before = source.map_batches(slow, batch_size=None)
told(rerank_dataset(before, model=model, workers=workers).map_batches(slow, batch_size=None).take_all())
"""
    assert run(script, 1, 1, tiny_model, tmp_path) == EXPECTED
