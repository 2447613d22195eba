"""A running server, started as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
STARTS_S = 120.0
STOPS_S = 60.0


class Server:
    """`crossrank serve` in a process of its own, with all that it starts. Stop it at the end.

    Args:
        inside: words before the command, to run it in a network of its own.
        reached_at: its address there, for the test.
    """

    def __init__(
        self,
        model: str,
        log: Path,
        *flags: str,
        environment: dict[str, str] | None = None,
        inside: Sequence[str] = (),
        reached_at: str = "127.0.0.1",
    ) -> None:
        self.port = free_port()
        self.url = f"http://{reached_at}:{self.port}"
        self._log = log
        command = [
            *inside,
            str(Path(sys.executable).parent / "crossrank"),
            "serve",
            "--model",
            model,
            "--port",
            str(self.port),
            *flags,
        ]
        # A drain takes 30 s otherwise.
        settings = os.environ | {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"} | (environment or {})
        with open(log, "wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=settings)
        self._root = psutil.Process(self._process.pid)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        until = time.monotonic() + STARTS_S
        while "ready: http" not in self.said:
            assert self._process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.1)

    def family(self) -> list[psutil.Process]:
        """The process and all below it."""
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def replicas(self) -> list[psutil.Process]:
        return [process for process in self.family() if _title(process).startswith("ray::ServeReplica")]

    def stop(self) -> int:
        """SIGTERM, as a supervisor sends it; its exit status."""
        family = self.family()
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOPS_S)
        finally:
            for process in family:
                if process.is_running():
                    process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _title(process: psutil.Process) -> str:
    try:
        return process.cmdline()[0]
    except (psutil.Error, IndexError):
        return ""
