"""A Ray whose object store is full of other people's objects, and one that is too small for what goes through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.ray.driver import ROOT
from tests.ray.inputs import Inputs, ranked_of, read_output, settings_of

STORE_BYTES = 80_000_000
"""Ray takes no less than 75 MiB."""
START = f"""
import json, sys
import numpy as np, pyarrow as pa, ray
from ray._private import internal_api
ray.init(address="local", num_cpus=6, object_store_memory={STORE_BYTES}, include_dashboard=False, log_to_driver=False)

def spilled_bytes():
    told = internal_api.memory_summary(ray.get_runtime_context().gcs_address, stats_only=True)
    lines = [line for line in told.splitlines() if line.startswith("Spilled")]
    return int(lines[0].split()[1]) * 2**20 if lines else 0

def payload():
    return np.random.default_rng().bytes(8_000_000)
"""


def run(script: str, folder: Path, *arguments: str) -> dict[str, int]:
    """The last line that a program says, which starts a Ray of its own."""
    command = [sys.executable, "-c", START + script, *arguments]
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as ray:  # short: sockets lie in it
        done = subprocess.run(
            command, env=_environment(ray), cwd=folder, capture_output=True, text=True, timeout=800, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return told


def _environment(ray: str) -> dict[str, str]:
    return os.environ | {"RAY_TMPDIR": ray, "PYTHONPATH": str(ROOT)}


@pytest.mark.timeout(900)
def test_a_job_ends_on_a_cluster_whose_object_store_others_have_filled(inputs: Inputs, tmp_path: Path) -> None:
    script = """
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from tests.unit.stand_ins import OverlapSpec
held = [ray.put(payload()) for _ in range(15)]  # 120 MB, which their owner keeps
before = spilled_bytes()
rerank(RerankSettings(**json.loads(sys.argv[1])), OverlapSpec())
assert len(ray.get(held[0])) == 8_000_000
print(json.dumps({"spilled": before}))
"""
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out")
    told = run(script, tmp_path, json.dumps(settings))
    assert told["spilled"] >= 120_000_000 - STORE_BYTES
    assert ranked_of(read_output(str(tmp_path / "out"))) == inputs.ranked(top_n=10)


@pytest.mark.timeout(900)
def test_a_dataset_that_is_larger_than_the_object_store_is_ranked_by_way_of_the_disk(
    tiny_model: str, tmp_path: Path
) -> None:
    # Rows bring columns of their own along: here 8 MB each, 160 MB in all, all of it kept until the end.
    script = """
from crossrank import rerank_dataset

def rows(batch):
    count = len(batch["id"])
    texts = [["a red car", "the blue car is fast", "birds"]] * count
    return {"id": batch["id"], "query": ["blue car"] * count, "docs": texts, "more": [payload() for _ in range(count)]}

ds = ray.data.range(20, override_num_blocks=20).map_batches(rows, batch_size=1)
ranked = rerank_dataset(ds, model=sys.argv[1], max_length=32, workers=1, batch_queries=1).materialize()
spilled = spilled_bytes()
found = [(row["id"], row["status"], len(row["ranking"]), len(row["more"])) for row in ranked.iter_rows()]
assert sorted(found) == [(n, "ok", 3, 8_000_000) for n in range(20)], found
print(json.dumps({"spilled": spilled}))
"""
    told = run(script, tmp_path, tiny_model)
    assert told["spilled"] >= 160_000_000 - STORE_BYTES
