"""Nodes of Ray that a test starts: a head with a dashboard, as `serve deploy` wants one, and others that join it."""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
import requests
import yaml

from tests.serving.server import ROOT, STARTS_S, STOPS_S, free_port

DEPLOYS_S = 120.0
"""What a new version may take to be there, or to be given up, on two busy cores."""


class Node:
    """`ray start` in a process of its own, with all that it starts. Kill it at the end."""

    def __init__(
        self,
        log: Path,
        flags: dict[str, Any],
        environment: dict[str, str],
        inside: Sequence[str] = (),
        *words: str,
        ray: str | None = None,
    ) -> None:
        # Not a folder of pytest: the names of Ray's sockets in it may have 107 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._log = log
        flags = {
            "dashboard-agent-listen-port": free_port(),
            "temp-dir": self._folder,
            "object-store-memory": 200_000_000,
            **flags,
        }
        told = [*words, *(f"--{name}={flags[name]}" for name in flags)]
        command = [*inside, ray or program("ray"), "start", "--block", *told]
        with open(log, "wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=environment)
        self._root = psutil.Process(self._process.pid)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        """`ray start` and all below it."""
        return [self._root, *self._root.children(recursive=True)] if self._root.is_running() else []

    def replicas(self) -> list[psutil.Process]:
        """Processes of replicas, those that are still starting and those that are finishing included."""
        return [process for process in self.family() if title(process).startswith("ray::ServeReplica")]

    def num_replicas(self) -> int:
        return len(self.replicas())

    def kill(self) -> None:
        """SIGKILL to all. SIGTERM would wait 30 s for replicas to leave, which stay."""
        for process in self.family():
            if process.is_running():
                process.kill()
        self._process.wait(STOPS_S)
        shutil.rmtree(self._folder, ignore_errors=True)


class Head(Node):
    """The head, and what one does with `serve` there. It can be reached on loopback alone, unless told otherwise.

    Args:
        address: of this node, for other nodes.
        reached_at: its address for the test.
        inside: words before the command, to run it in a network of its own.
        ray: the program, of another environment than this one.
        more: variables beside those that tests want.
        flags: beside those that a head has.
    """

    def __init__(
        self,
        log: Path,
        num_cpus: int = 6,
        address: str = "127.0.0.1",
        reached_at: str = "127.0.0.1",
        inside: Sequence[str] = (),
        ray: str | None = None,
        more: Mapping[str, str] = MappingProxyType({}),
        **flags: Any,
    ) -> None:
        self.dashboard = f"http://{reached_at}:{free_port()}"
        self._haproxy_statistics = free_port()
        self.environment = {
            **os.environ,
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "3",  # 30 s otherwise
            "RAY_SERVE_MAX_PER_REPLICA_RETRY_COUNT": "1",  # 3 otherwise, and each start takes its time
            "RAY_SERVE_HAPROXY_STATS_PORT": str(self._haproxy_statistics),
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(free_port()),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",  # for what tests deploy of their own, and no other checkout
            "RAY_worker_niceness": "0",
            "RAY_DASHBOARD_ADDRESS": self.dashboard,
            **more,
        }
        port = free_port()
        self.address = f"{address}:{port}"
        flags = {
            "node-ip-address": address,
            "port": port,
            "dashboard-host": reached_at,
            "dashboard-port": self.dashboard.rsplit(":", 1)[1],
            "ray-client-server-port": free_port(),
            "num-cpus": num_cpus,
            **flags,
        }
        super().__init__(log, flags, self.environment, inside, "--head", ray=ray)

    def wait_until_ready(self) -> None:
        until = time.monotonic() + STARTS_S
        while True:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            try:
                if self.status() is not None:
                    return
            except requests.RequestException:
                pass
            time.sleep(0.2)

    def deploy(self, file: Path) -> None:
        """`serve deploy FILE`, as a user says it."""
        self._serve("deploy", str(file))

    def shut_down(self) -> None:
        """`serve shutdown`: no application and no proxy is left, and Ray stays."""
        self._serve("shutdown", "--yes")

    def _serve(self, *words: str) -> None:
        done = subprocess.run(
            [program("serve"), *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=DEPLOYS_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def status(self) -> Any:
        """What `serve status` prints, of the same address; None until it can be told."""
        token = self.environment["RAY_AUTH_TOKEN"]
        answer = requests.get(
            f"{self.dashboard}/api/serve/applications/",
            headers={"authorization": f"Bearer {token}"},
            timeout=30,
        )
        return answer.json() if answer.status_code == 200 else None

    def wait_for(self, status: str) -> Any:
        """The application, when it has this status. One that could not be deployed will not have another."""
        until = time.monotonic() + DEPLOYS_S
        while True:
            told = self.status()
            applications = list(told["applications"].values()) if told else []
            if applications and all(each["status"] == status for each in applications):
                return applications[0]
            assert all(each["status"] != "DEPLOY_FAILED" for each in applications), applications
            assert time.monotonic() < until, applications
            time.sleep(0.2)

    def wait_until_no_replica_is_there(self) -> None:
        """By Ray Serve's own count, which has those that start and those that stop too."""
        until = time.monotonic() + DEPLOYS_S
        while any(
            deployment["replicas"]
            for application in self.status()["applications"].values()
            for deployment in application["deployments"].values()
        ):
            assert time.monotonic() < until, self.status()
            time.sleep(0.2)

    def answers_by_replica(self) -> list[int]:
        """How many requests each replica has answered with 200, by HAProxy's own count."""
        return self._counted("hrsp_2xx")

    def requests_by_replica(self) -> list[int]:
        """How many requests are at each replica now, by the same."""
        return self._counted("scur")

    def _counted(self, name: str) -> list[int]:
        address = f"http://127.0.0.1:{self._haproxy_statistics}/stats;csv"
        rows = csv.DictReader(io.StringIO(requests.get(address, timeout=10).text.removeprefix("# ")))
        return [int(row[name] or 0) for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")]


def write(file: Path, shape: str, http: dict[str, Any], import_path: str | None = None, **args: Any) -> Path:
    """A file of `serve/` with other http_options and args, and what else it deploys."""
    config = yaml.safe_load((ROOT / "serve" / shape).read_text())
    config["http_options"].update(http)
    application = config["applications"][0]
    application["import_path"] = import_path or application["import_path"]
    application["args"].update(args)
    file.write_text(yaml.safe_dump(config))
    return file


def title(process: psutil.Process) -> str:
    """The name that a process of Ray gives itself."""
    try:
        return str(process.cmdline()[0])
    except (psutil.Error, IndexError):
        return ""


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)
