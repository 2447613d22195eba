"""A cluster with another Python: what runs there is refused in one sentence, wherever it is noticed."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from typing import Any

import pytest

from tests.jobs.head import Head
from tests.ray.driver import ROOT

RAY = version("ray")


@contextmanager
def job_server(metadata: tuple[int, dict[str, Any]]) -> Iterator[str]:
    """The answers of a job server to who asks for its versions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            about_ray = 200, {"version": "4", "ray_version": RAY, "ray_commit": "x"}
            status, content = metadata if "metadata" in self.path else about_ray
            told = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def do_POST(self) -> None:
            self.send_error(500, "no job is taken here")

        do_PUT = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def submitted(address: str) -> str:
    """What `crossrank submit` says to a refusal."""
    command = [sys.executable, "-m", "crossrank", "submit", "rerank", "--address", address, "--", "--model", "x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_cluster_of_an_older_python_is_refused_before_anything_is_shipped() -> None:
    with job_server((200, {"data": {"pythonVersion": "3.10.13", "rayVersion": RAY}})) as address:
        assert submitted(address) == (
            f"crossrank: the cluster at {address} runs Python 3.10.13, and crossrank needs 3.11 or later; install it "
            f"on every node"
        )


@pytest.mark.parametrize(
    "metadata", [(200, {"data": {"pythonVersion": "3.13.0"}}), (404, {}), (200, {}), (200, {"data": {}})]
)
def test_a_newer_python_and_one_that_is_not_told_are_no_reason(metadata: tuple[int, dict[str, Any]]) -> None:
    # The job runs on the Python of the cluster alone; that of this machine makes nothing that goes there.
    with job_server(metadata) as address:
        assert submitted(address).startswith(f"crossrank: the job server at {address} refuses: ")


def test_a_real_job_server_tells_its_python(head: Head) -> None:
    script = (
        "import sys; from crossrank.cluster.submission.on_ray import Cluster; print(Cluster(sys.argv[1])._python())"
    )
    command = [sys.executable, "-c", script, head.dashboard]
    done = subprocess.run(command, env=head.env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    assert done.stdout.strip() == platform.python_version()


def test_a_driver_of_another_python_is_refused_with_both_versions(head: Head) -> None:
    # Ray itself refuses it; the driver only says of itself that it is another.
    script = (
        "import ray; from ray._private import utils\n"
        "utils.compute_version_info = lambda: (ray.__version__, '3.12.1')\n"
        "from crossrank.cluster.on_ray import connect\n"
        "from crossrank.errors import SettingsError\n"
        "try:\n    connect()\nexcept SettingsError as error:\n    print(error)\n"
    )
    env = head.env | {"RAY_ADDRESS": head.gcs}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout.strip() == (
        f"the cluster at {head.gcs} runs Ray {RAY} on Python {platform.python_version()}, and here is Ray {RAY} on "
        f"Python 3.12.1; install the same on both"
    )
