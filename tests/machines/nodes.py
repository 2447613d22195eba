"""A cluster of machines on this one: each node has a network, folders and an environment of its own, without crossrank.

What they share is a network with an S3 server and an Amazon Translate in it, and nothing else. This process is on
that network too, as the machine that submits.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from tests.data.amazon_server import Asked
from tests.ray.driver import ROOT, wait_for
from tests.serving.head import Head, Node, title
from tests.serving.networks import inside, networks_of_their_own

WORKERS = 3
CPUS = 2
"""Of a worker, for scheduling; the head has none."""
NETWORK = "10.214.0"
HERE, SERVICES, HEAD = f"{NETWORK}.1", f"{NETWORK}.2", f"{NETWORK}.10"
S3_PORT, TRANSLATE_PORT, SERVE_PORT = 9000, 9001, 8000
S3 = f"http://{SERVICES}:{S3_PORT}"
BUCKET = "lake"
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": S3,
    "AWS_ENDPOINT_URL_TRANSLATE": f"http://{SERVICES}:{TRANSLATE_PORT}",
}
"""What all machines know of the services on their network."""
JOINS_S = 90.0


@dataclass
class Machines:
    """The head and the workers that are there now."""

    head: Head
    env: dict[str, str]
    """For `crossrank submit`: where the cluster is and its token; and for whoever reads from S3."""
    asked: Asked
    """What Amazon Translate was asked."""
    _folder: Path
    _ray: str
    _workers: dict[int, Node] = field(default_factory=dict)
    _started: int = 0

    def start_workers(self) -> None:
        """Start those that are missing, and wait for them."""
        missing = [number for number in range(WORKERS) if number not in self._workers]
        for number in missing:
            subprocess.run(["ip", "-n", _switch(), "link", "set", f"w{number}", "up"], check=True)
            flags = {"address": self.head.address, "node-ip-address": address_of(number), "num-cpus": CPUS}
            self._started += 1
            log = self._folder / f"worker-{self._started}.log"
            words = alone_on_its_disk(f"cr-w{number}-{os.getpid()}")
            self._workers[number] = Node(log, flags | disk(), self.head.environment, words, ray=self._ray)
        for number in missing:
            node = self._workers[number]
            until = time.monotonic() + JOINS_S
            while "Ray runtime started" not in node.said:
                assert time.monotonic() < until, node.said
                time.sleep(0.1)

    def kill(self, number: int) -> None:
        """All its processes end at once; whoever is connected to them hears of it."""
        self._workers.pop(number).kill()

    def unplug(self, number: int) -> None:
        """A machine that is lost: whoever is connected to it hears nothing more, and it does not come back."""
        subprocess.run(["ip", "-n", _switch(), "link", "set", f"w{number}", "down"], check=True)
        self._workers.pop(number).kill()

    def working(self, name: str) -> list[int]:
        """The workers on which a process works whose name Ray begins so: those whose loss is felt."""
        return [
            number
            for number, node in self._workers.items()
            if any(title(process).startswith(f"ray::{name}") for process in node.family())
        ]

    def submit(self, *words: str, log: Path) -> subprocess.Popen[bytes]:
        """`crossrank submit`, as a process that goes on."""
        command = [sys.executable, "-m", "crossrank", "submit", *words]
        with open(log, "wb") as output:
            return subprocess.Popen(command, stdout=output, stderr=output, env=self.env, cwd=self._folder)

    def close(self) -> None:
        """Kill all."""
        for node in self._workers.values():
            node.kill()
        self.head.kill()


def address_of(number: int) -> str:
    """Of a worker."""
    return f"{NETWORK}.{11 + number}"


def _switch() -> str:
    return f"cr-net-{os.getpid()}"


def disk() -> dict[str, Any]:
    """Flags for the folder that is a node's own; the same path on each of them, with another content."""
    return {"temp-dir": f"{own_folder()}/ray"}


def own_folder() -> str:
    return f"/tmp/cr-own-{os.getpid()}"  # short: sockets lie in it


def alone_on_its_disk(network: str) -> list[str]:
    """Words before a command that is to run in a network and on a disk that nobody else sees."""
    folder = own_folder()
    script = f'mount -t tmpfs tmpfs {folder} && mkdir {folder}/home {folder}/work && cd {folder}/work && exec "$@"'
    return [*inside(network), "unshare", "--mount", "bash", "-c", script, "bash"]


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """Start them all.

    Args:
        folder: for logs and the environment of the nodes.
    """
    networks = {"services": SERVICES, "head": HEAD} | {f"w{number}": address_of(number) for number in range(WORKERS)}
    names = [_switch(), *(f"cr-{name}-{os.getpid()}" for name in networks)]
    commands = [f"ip netns add {name}" for name in names]
    switch = f"ip -n {_switch()}"
    commands += [f"{switch} link add bridge type bridge", f"{switch} link set bridge up"]
    commands += [f"ip link add cr-cluster type veth peer name here netns {_switch()}"]
    commands += [f"ip addr add {HERE}/24 dev cr-cluster", "ip link set cr-cluster up"]
    commands += [f"{switch} link set here master bridge", f"{switch} link set here up"]
    for name, address in networks.items():
        own = f"ip -n cr-{name}-{os.getpid()}"
        commands += [f"{own} link add eth0 type veth peer name {name} netns {_switch()}"]
        commands += [f"{own} addr add {address}/24 dev eth0", f"{own} link set lo up", f"{own} link set eth0 up"]
        commands += [f"{switch} link set {name} master bridge", f"{switch} link set {name} up"]
    os.makedirs(own_folder(), exist_ok=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, own_folder(), ignore_errors=True)
        stack.enter_context(networks_of_their_own(names, "\n".join(commands)))
        output = stack.enter_context(open(folder / "services.log", "wb"))
        for command in services(folder):
            inner = [*inside(f"cr-services-{os.getpid()}"), *command]
            process = subprocess.Popen(inner, cwd=ROOT, stdout=output, stderr=output)
            stack.callback(process.wait)
            stack.callback(process.kill)
        wait_for(lambda: reaches(S3_PORT) and reaches(TRANSLATE_PORT), 60, lambda: "a service does not answer")
        boto3.client("s3", endpoint_url=S3).create_bucket(Bucket=BUCKET)
        ray = bare_environment(folder / "environment")
        log = folder / "head.log"
        path = f"{Path(ray).parent}:{os.environ['PATH']}"
        variables = {"HOME": f"{own_folder()}/home", "PATH": path, "PYTHONPATH": "", "CROSSRANK_CACHE": "", **AWS}
        words = alone_on_its_disk(f"cr-head-{os.getpid()}")
        head = Head(log, 0, HEAD, HEAD, words, ray=ray, more=variables, **disk())
        asked = Asked(f"http://{SERVICES}:{TRANSLATE_PORT}", folder / "asked.jsonl")
        token = {name: head.environment[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
        of_client = {**os.environ, **AWS, **token, "RAY_API_SERVER_ADDRESS": head.dashboard}
        running = Machines(head, of_client, asked, folder, ray)
        stack.callback(running.close)
        head.wait_until_ready()
        running.start_workers()
        yield running


def services(folder: Path) -> list[list[str]]:
    """Commands of the servers that all nodes reach."""
    log = folder / "asked.jsonl"
    log.touch()
    flags = {"host": SERVICES, "port": TRANSLATE_PORT, "log": log, "latency-ms": 100}
    translate = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return [
        [sys.executable, "-m", "moto.server", "-H", SERVICES, "-p", str(S3_PORT)],
        [sys.executable, "-m", "tests.data.amazon_server", *translate],
    ]


def reaches(port: int) -> bool:
    """Whether a service answers on the network."""
    try:
        socket.create_connection((SERVICES, port), timeout=1).close()
    except OSError:
        return False
    return True


def bare_environment(folder: Path) -> str:
    """An environment with all that crossrank needs, and without crossrank; gives its `ray`."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    for entry in Path(boto3.__file__).parents[1].iterdir():
        if "crossrank" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    for name, module in {"ray": "ray.scripts.scripts", "serve": "ray.serve.scripts"}.items():
        program = folder / "bin" / name
        function = "main" if name == "ray" else "cli"
        program.write_text(f"#!{folder}/bin/python\nimport sys\nfrom {module} import {function}\n{function}()\n")
        program.chmod(0o755)
    said = subprocess.run([folder / "bin" / "python", "-c", "import crossrank"], capture_output=True, check=False)
    assert b"No module named 'crossrank'" in said.stderr, said
    return str(folder / "bin" / "ray")
