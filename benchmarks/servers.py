"""Servers that a benchmark starts, each a process with its own log, on 127.0.0.1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from machine import WORK

START_S = 600.0
STOP_S = 90.0
MODEL_NAME = "reranker"
INFINITY = Path(__file__).parents[1] / ".venv-infinity" / "bin" / "infinity_emb"


@contextmanager
def crossrank_server(model: Path, threads: int | None = None, replicas: int = 1) -> Iterator[str]:
    """`crossrank serve` with a fixed number of replicas; gives its address."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "crossrank"), "serve", "--model", str(model)]
    command += ["--model-name", MODEL_NAME, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--threads", str(threads)] if threads else []
    command += ["--min-replicas", str(replicas), "--max-replicas", str(replicas)]
    # A drain waits for 30 s otherwise, for nobody.
    with _running("crossrank", command, port, {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1"}) as url:
        yield url


@contextmanager
def infinity_server(model: Path, *flags: str) -> Iterator[str]:
    """infinity with its torch engine on the CPU, from its own environment; gives its address."""
    if not INFINITY.exists():
        sys.exit("infinity is not installed; run `make bench-serve`, or its lines that make .venv-infinity")
    port = free_port()
    command = [str(INFINITY), "v2", "--model-id", str(model), "--served-model-name", MODEL_NAME, "--engine", "torch"]
    command += ["--device", "cpu", "--dtype", "float32", "--host", "127.0.0.1", "--port", str(port), *flags]
    told = {"DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0", "HF_HUB_OFFLINE": "1"}
    with _running("infinity", command, port, {**told, "INFINITY_HOME": str(WORK)}) as url:
        yield url


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def _running(name: str, command: Sequence[str], port: int, variables: Mapping[str, str]) -> Iterator[str]:
    WORK.mkdir(exist_ok=True)
    log = WORK / f"{name}.log"
    url = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=WORK, stdout=output, stderr=output, env=os.environ | variables, start_new_session=True
        )
    try:
        _wait_until_ready(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    started = time.monotonic()
    while time.monotonic() < started + START_S:
        if process.poll() is not None:
            sys.exit(f"the server ended with status {process.returncode}; its log is {log}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.5)
    sys.exit(f"the server is not ready after {START_S:.0f} s; its log is {log}")
