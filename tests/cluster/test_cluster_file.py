"""cluster.yaml: what `ray up` makes of it, and a job on nodes that come when they are asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.fake_nodes import FakeCluster, fake_cluster
from tests.ray.driver import ROOT
from tests.ray.inputs import Inputs, read_output


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def cluster(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCluster]:
    with fake_cluster(config, tmp_path_factory.mktemp("head") / "head.log") as running:
        yield running


def test_rays_own_schema_takes_it(config: dict[str, Any]) -> None:
    validate_config(prepare_config(config))


def test_the_head_does_no_work_and_workers_come_from_zero_up_to_the_cap(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    assert types["head"]["resources"] == {"CPU": 0}
    assert [types[name]["min_workers"] for name in ("cpu", "gpu")] == [0, 0]
    assert types["gpu"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert config["max_workers"] == 8
    assert config["idle_timeout_minutes"] == 10


def test_a_token_is_asked_of_every_client_and_no_port_is_opened(config: dict[str, Any]) -> None:
    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        [start] = [command for command in config[name] if "ray start" in command]
        assert start.startswith("RAY_AUTH_MODE=token ray start")
        assert "0.0.0.0" not in start
        assert "--metrics-export-port=8080" in start
    [start] = [command for command in config["head_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in start
    assert "/home/ubuntu/.ray/auth_token" in config["file_mounts"]
    assert "security_group" not in config["provider"]  # the one that Ray makes opens port 22 alone
    for each in config["available_node_types"].values():
        assert "SecurityGroupIds" not in each["node_config"]


def test_nodes_get_what_crossrank_needs_in_the_tested_versions(config: dict[str, Any], tmp_path: Path) -> None:
    [listing] = [command for command in config["setup_commands"] if "tomllib" in command]
    (tmp_path / "crossrank").mkdir()
    (tmp_path / "crossrank" / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    command = listing.replace("~/env/bin/python", sys.executable).replace("~/", f"{tmp_path}/")
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    wanted = (tmp_path / "crossrank" / "requirements.txt").read_text().splitlines()
    assert "ray[data,serve,train]==2.60.0" in wanted
    assert any(line.startswith("boto3") for line in wanted)
    installed = [command for command in config["setup_commands"] if "pip install" in command]
    assert all("-c ~/crossrank/constraints.txt" in command for command in installed)


def alive(cluster: FakeCluster) -> list[dict[str, float]]:
    """Resources of the nodes, asked for in a process of its own."""
    code = (
        "import json, ray; ray.init(log_to_driver=False, logging_level='ERROR'); "
        "print(json.dumps([node['Resources'] for node in ray.nodes() if node['Alive']]))"
    )
    env = cluster.env | {"RAY_ADDRESS": cluster.gcs}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_job_that_is_submitted_brings_a_node_and_is_done_there(
    cluster: FakeCluster, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    assert [node.get("CPU", 0) for node in alive(cluster)] == [0]
    flags = {**inputs.write(str(tmp_path)), "model": tiny_model, "output": str(tmp_path / "out"), "max-length": "64"}
    flags |= {"limit": "8", "gpus-per-worker": "0", "workers": "2"}
    command = [sys.executable, "-m", "crossrank", "submit", "rerank", "--address", cluster.dashboard, "--"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        command, cwd=tmp_path, env=cluster.env, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"no node of the cluster has a CPU for a worker .*; waiting for one", done.stdout), done.stdout
    assert read_output(str(tmp_path / "out"))["query_id"].to_pylist() == list(inputs.queries)[:8]
    assert {node.get("CPU", 0) for node in alive(cluster)} <= {0, 16}
