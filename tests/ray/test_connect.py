"""Starting Ray, or joining it, is said while it goes on, though what Ray itself says is not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossrank.errors import SettingsError
from crossrank.telemetry import progress
from tests.jobs import head

ray = pytest.importorskip("ray")
telemetry = pytest.importorskip("crossrank.telemetry.on_ray")
named_cluster = pytest.importorskip("crossrank.cluster.on_ray.named_cluster")


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
    monkeypatch.setattr(
        named_cluster, "_wait_for_port", lambda _: None
    )  # nobody listens at the addresses of these tests
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


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, slow_ray: dict[str, Any]) -> None:
    from crossrank.cluster.on_ray import connect

    def init(**_: Any) -> None:
        raise ConnectionError("nobody\nlistens")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setenv("RAY_ADDRESS", "ray://user:password@10.0.0.7:10001")
    with pytest.raises(SettingsError) as refused:
        connect()
    assert str(refused.value) == (
        "RAY_ADDRESS is ray://10.0.0.7:10001, and no cluster can be joined there (nobody listens); "
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


@pytest.fixture
def listener() -> Iterator[str]:
    """The address of a server that answers whatever is sent to it as a web server would."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            while True:
                try:
                    with server.accept()[0] as connection:
                        connection.recv(1024)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    if server.fileno() < 0:
                        return

        threading.Thread(target=answer, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def joined(address: str, starts_s: float = 2.0, **env: str) -> subprocess.CompletedProcess[str]:
    """A verb that does no more than to join."""
    program = (
        "import click\n"
        "from crossrank.cli.main import run\n"
        "from crossrank.cluster.on_ray import connect, named_cluster\n"
        f"named_cluster.STARTS_S = {starts_s}\n"
        "run(click.command()(connect), [])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment | {"RAY_ADDRESS": address} | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_port_where_nobody_listens_is_said_with_its_address_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    started = time.monotonic()
    done = joined(address)
    assert time.monotonic() - started < 60, "Ray alone takes a quarter of an hour"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"crossrank: RAY_ADDRESS is {address}, and no cluster can be joined there ([Errno 111] Connection refused); "
        f"start one, or unset it for a local Ray"
    )


@pytest.mark.parametrize("address", ["no.such.host.invalid:6379", "127.0.0.1:99999", "nonsense"])
def test_an_address_of_nobody_is_one_sentence(address: str) -> None:
    done = joined(address)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"crossrank: RAY_ADDRESS is {address}, and no cluster can be joined there (")
    assert last.endswith("; start one, or unset it for a local Ray")
    assert "Traceback" not in done.stderr


def test_a_server_that_is_no_ray_is_said_in_a_minute(listener: str) -> None:
    done = joined(listener)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"crossrank: RAY_ADDRESS is {listener}, and what listens there lets nobody join (")
    assert last.endswith("or be no Ray; put that right, or unset RAY_ADDRESS for a local Ray")
    assert "Traceback" not in done.stderr


def test_a_cluster_that_is_started_beside_the_job_is_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        place = closed.getsockname()

    def open_later() -> None:
        time.sleep(1.5)
        with socket.create_server(place):
            time.sleep(5)

    threading.Thread(target=open_later).start()
    named_cluster._wait_for_port(f"127.0.0.1:{place[1]}")


def test_a_cluster_with_another_token_refuses_in_one_sentence(tmp_path: Path) -> None:
    with head.started(tmp_path / "head.log") as cluster:
        right = {name: value for name, value in cluster.env.items() if name.startswith("RAY_AUTH")}
        assert joined(cluster.gcs, 30.0, **right).returncode == 0
        for wrong in ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "f" * 32}, {"RAY_AUTH_MODE": "disabled"}):
            done = joined(cluster.gcs, 30.0, **wrong)
            assert done.returncode == 2
            last = done.stderr.splitlines()[-1]
            assert last.startswith("crossrank: ")
            assert cluster.gcs in last
            assert "export RAY_AUTH_MODE=token and the cluster's own RAY_AUTH_TOKEN" in last
            assert "Traceback" not in done.stderr
            assert "f" * 32 not in done.stderr
            assert right["RAY_AUTH_TOKEN"] not in done.stderr
