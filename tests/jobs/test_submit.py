"""`ray job submit` of the recipe to a cluster: the source on this disk is what runs there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossrank import __version__
from tests.ray.driver import ROOT, Driver, wait_for
from tests.ray.inputs import Inputs, read_output
from tests.ray.s3_server import answers, free_port

RAY = str(Path(sys.executable).with_name("ray"))


@dataclass(frozen=True)
class Head:
    """A cluster of one node with a job server."""

    gcs: str
    dashboard: str
    env: dict[str, str]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    # Since 2.60 a cluster asks its clients for a token; this one has a token of its own, which is no one else's.
    env = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex, "RAY_USAGE_STATS_ENABLED": "0"}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"  # the `python` of the job is looked up there
    env.pop("PYTHONPATH", None)  # it names this tree, and the job has to find the one that was shipped
    gcs, dashboard, client, agent = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as folder:  # short: sockets lie in it
        command = [RAY, "start", "--head", "--block", "--include-dashboard=true", "--num-cpus=6"]
        command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}"]
        command += [f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        command += [f"--dashboard-agent-listen-port={agent}"]
        process = Driver(command, tmp_path / "head.log", env)
        try:
            wait_for(lambda: answers(dashboard) or not process.running, 60, lambda: process.said)
            assert process.running, process.said
            yield Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", env)
        finally:
            process.close()


def test_a_submitted_job_runs_the_source_on_this_disk(head: Head, tiny_model: str, tmp_path: Path) -> None:
    inputs = Inputs.made(num_queries=6, depth=4, num_documents=10)
    flags = {**inputs.write(str(tmp_path)), "model": tiny_model, "output": str(tmp_path / "out"), "max-length": "64"}
    job = ["python", "jobs/rerank_corpus.py", *(part for name, value in flags.items() for part in (f"--{name}", value))]
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--runtime-env", "jobs/runtime_env.yaml", "--", *job]
    done = subprocess.run(submit, cwd=ROOT, env=head.env, capture_output=True, text=True, timeout=200, check=False)

    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    found = re.search(r"\] crossrank (\S+) from (\S+), commit (.+)", log)
    assert found, log
    assert found[1] == __version__
    assert "runtime_resources/py_modules_files" in found[2]  # the shipped tree, and not the package installed here
    table = read_output(flags["output"])
    assert table["query_id"].to_pylist() == list(inputs.queries)
    assert [len(docs) for docs in table["docs"].to_pylist()] == [4] * 6
