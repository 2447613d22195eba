"""Two nodes, each in a network namespace of its own, since a second proxy wants a second address; one is killed."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crossrank import Reranker
from tests.serving.asking import Asking
from tests.serving.head import Head, Node, write
from tests.serving.server import free_port

BODY: Any = {"query": "how long?", "texts": ["four hours", "the warranty is one year"], "raw_scores": True}
NOTICED_S = 10.0
"""After a node was killed, its requests have ended and no new one is sent to it."""


REACHED_AT = "10.213.1.2"
"""The first node, from this machine."""
ADDRESSES = ("10.213.2.1", "10.213.2.2")
"""Of the nodes, for each other."""


class Networks(NamedTuple):
    """Two namespaces: this machine reaches the first, and the two reach each other."""

    first: str
    second: str


@pytest.fixture
def networks() -> Iterator[Networks]:
    first, second = f"crossrank-a{os.getpid()}", f"crossrank-b{os.getpid()}"
    commands = f"""
        ip netns add {first}
        ip netns add {second}
        ip link add cr-here type veth peer name cr-a netns {first}
        ip -n {first} link add cr-b type veth peer name cr-a netns {second}
        ip addr add 10.213.1.1/24 dev cr-here
        ip -n {first} addr add {REACHED_AT}/24 dev cr-a
        ip -n {first} addr add {ADDRESSES[0]}/24 dev cr-b
        ip -n {second} addr add {ADDRESSES[1]}/24 dev cr-a
        ip link set cr-here up
        ip -n {first} link set lo up
        ip -n {first} link set cr-a up
        ip -n {first} link set cr-b up
        ip -n {second} link set lo up
        ip -n {second} link set cr-a up
    """
    try:
        for command in commands.strip().splitlines():
            try:
                done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
            except OSError as error:
                pytest.skip(f"no network namespaces here: {error}")
            if done.returncode:
                pytest.skip(f"no network namespaces here: {command.strip()}: {done.stderr.strip()}")
        yield Networks(first, second)
    finally:
        for name in (first, second):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def test_a_node_that_is_killed_costs_its_own_requests_alone(networks: Networks, model: str, tmp_path: Path) -> None:
    logits = Reranker.load(model, device="cpu").score([(BODY["query"], text) for text in BODY["texts"]])
    right = pytest.approx(dict(enumerate(logits.tolist())), abs=1e-5)
    port = free_port()
    inside = [["ip", "netns", "exec", name] for name in networks]
    head = Head(tmp_path / "head.log", 1, ADDRESSES[0], REACHED_AT, inside[0])
    other = None
    try:
        head.wait_until_ready()
        flags = {"address": head.address, "node-ip-address": ADDRESSES[1], "num-cpus": 1}
        other = Node(tmp_path / "other.log", flags, head.environment, inside[1])
        args: Any = {"model": model, "min_replicas": 2, "max_replicas": 2, "threads": 1, "without_keys": True}
        http = {"host": "0.0.0.0", "port": port}  # of the two namespaces
        head.deploy(write(tmp_path / "file.yaml", "autoscaled.yaml", http, gpus_per_replica=0, **args))
        head.wait_for("RUNNING")
        assert (head.num_replicas(), other.num_replicas()) == (1, 1)
        with Asking(f"http://{REACHED_AT}:{port}/rerank", BODY, num_clients=4) as asking:
            asking.wait_for(100)
            killed = time.monotonic()
            other.kill()
            time.sleep(NOTICED_S)
            noticed = time.monotonic()
            asking.wait_for(200)
    finally:
        for node in (other, head):
            if node is not None:
                node.kill()
    print(f"{asking.outcomes}, the slowest {max(reply.seconds for reply in asking.replies):.2f} s")
    lost = [(reply.outcome, round(reply.sent + reply.seconds - killed, 2)) for reply in asking.refusals]
    print(f"not answered, and when they ended, in seconds after the kill: {lost}")
    assert all(reply.scores == right for reply in asking.replies if reply.outcome == "200")
    assert all(reply.outcome == "200" for reply in asking.since(noticed))
    assert set(asking.outcomes) <= {"200", "closed", "500", "503"}, asking.outcomes
    assert all(reply.seconds < NOTICED_S for reply in asking.replies)
