"""A cluster of one node with a job server, and the metrics port that Prometheus would collect from."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.ray.driver import ROOT, Driver, wait_for
from tests.ray.inputs import Inputs
from tests.ray.s3_server import answers, free_port

RAY = str(Path(sys.executable).with_name("ray"))
STARTS_S = 120.0
"""What a head may take on two busy cores."""

Labels = dict[str, str]


@dataclass(frozen=True)
class Head:
    """A running one."""

    gcs: str
    dashboard: str
    metrics_port: int
    folder: str
    """What Ray keeps, of its jobs too."""
    env: dict[str, str]
    process: Driver

    def series(self, name: str, **labels: str) -> list[tuple[Labels, float]]:
        """The values of a metric, as Prometheus reads them, of those that have these labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return [
            (sample.labels, sample.value)
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]


@contextmanager
def started(log: Path) -> Iterator[Head]:
    """`ray start --head`; it is gone at the end."""
    # Since 2.60 a cluster asks its clients for a token; this one has a token of its own, which is no one else's.
    env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex, "RAY_USAGE_STATS_ENABLED": "0"}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"  # the `python` of the job is looked up there
    env.pop("PYTHONPATH", None)  # it names this tree, and the job has to find the one that was shipped
    gcs, dashboard, client, agent, metrics = (free_port() for _ in range(5))
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as folder:  # short: sockets lie in it
        command = [RAY, "start", "--head", "--block", "--include-dashboard=true", "--num-cpus=6"]
        command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}"]
        command += [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        command += [f"--dashboard-agent-listen-port={agent}", f"--metrics-export-port={metrics}"]
        process = Driver(command, log, env)
        try:
            wait_for(lambda: answers(dashboard) or not process.running, STARTS_S, lambda: process.said)
            assert process.running, process.said
            yield Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", metrics, folder, env, process)
        finally:
            process.close()


def crossrank(head: Head, *arguments: str, folder: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a verb against the cluster, from some folder that is not the source tree's."""
    command = [sys.executable, "-m", "crossrank", *arguments]
    environment = head.env | {"RAY_API_SERVER_ADDRESS": head.dashboard, "RAY_ADDRESS": "10.255.255.1:6379"} | env
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=200, check=False
    )


def rerank_flags(inputs: Inputs, model: str, folder: Path) -> list[str]:
    """The flags of a rerank job whose files are written to `folder`, and whose output is there."""
    flags = {**inputs.write(str(folder)), "model": model, "output": str(folder / "out"), "max-length": "64"}
    return [part for name, value in flags.items() for part in (f"--{name}", value)]
