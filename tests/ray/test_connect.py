"""Starting Ray, or joining it, is said while it goes on, though what Ray itself says is not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crossrank import progress
from crossrank.errors import SettingsError

ray = pytest.importorskip("ray")
telemetry = pytest.importorskip("crossrank.telemetry.on_ray")


@pytest.fixture
def slow_ray(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A Ray that takes its time to start and talks meanwhile; gives the options that it was started with."""
    given: dict[str, Any] = {}

    def init(**options: Any) -> None:
        given.update(options)
        os.write(2, b"W0000 some page of the raylet\n")
        time.sleep(1.5)  # longer than a beat of the progress

    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-test")  # `connect` would set one, for all tests that come later
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(telemetry, "export", lambda: None)  # it asks the Ray that was joined for the job's id
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    return given


def test_a_local_ray_starts_with_a_line_and_goes_on_with_more_of_them(
    slow_ray: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    from crossrank.cluster.on_ray import connect

    connect()
    first, *others = [line.split("] ")[1] for line in capfd.readouterr().err.splitlines()]
    assert first == "starting a local Ray"
    assert others == ["starting a local Ray, 1 s"]
    assert slow_ray["address"] == "local"
    assert slow_ray["num_cpus"] == max(6, 3 * (os.cpu_count() or 1))


def test_a_local_ray_needs_no_home_that_can_be_written(tmp_path: Path) -> None:
    # As in a container of a user without a home. Ray keeps a token there, unless it has got one.
    program = "from crossrank.cluster.on_ray import connect; connect(); import ray; print(ray.get(ray.put('works')))"
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH_TOKEN")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=env | {"HOME": "/dev/null", "CROSSRANK_CACHE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["works"], done.stderr


def test_joining_a_cluster_is_said_with_its_address(
    slow_ray: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from crossrank.cluster.on_ray import connect

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    connect()
    assert "joining the Ray cluster at 10.0.0.7:6379, 1 s\n" in capfd.readouterr().err
    assert "address" not in slow_ray, "Ray reads it for itself"


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from crossrank.cluster.on_ray import connect

    def init(**_: Any) -> None:
        raise ConnectionError("nobody\nlistens")

    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-the-test")  # `connect` would set one, for all tests that come later
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.7:6379")
    with pytest.raises(SettingsError) as refused:
        connect()
    assert str(refused.value) == (
        "RAY_ADDRESS is 10.0.0.7:6379, and no cluster can be joined there (nobody listens); "
        "start one, or unset it for a local Ray"
    )


def test_a_cluster_of_another_python_is_refused_with_the_versions_of_both(
    monkeypatch: pytest.MonkeyPatch, slow_ray: dict[str, Any]
) -> None:
    from ray._private.utils import check_version_info, compute_version_info

    from crossrank.cluster.on_ray import connect

    def init(**_: Any) -> None:  # as Ray itself refuses, in its own words
        check_version_info({"ray_version": ray.__version__, "python_version": "3.12.1"}, "node 10.0.0.2")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(SettingsError) as refused:
        connect()
    here_ray, here_python = compute_version_info()
    assert str(refused.value) == (
        f"the cluster at 10.0.0.1:6379 runs Ray {here_ray} on Python 3.12.1, and here is Ray {here_ray} on "
        f"Python {here_python}; install the same on both"
    )
