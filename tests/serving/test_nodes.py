"""Two nodes, each in a network namespace of its own, since a second proxy wants a second address; one is killed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from crossrank import Reranker
from tests.serving.asking import Asking
from tests.serving.head import Head, Node, write
from tests.serving.networks import inside, networks_of_their_own
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


@pytest.fixture(scope="module")
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
    with networks_of_their_own((first, second), commands):
        yield Networks(first, second)


@pytest.fixture(scope="module")
def head(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    log = tmp_path_factory.mktemp("head") / "head.log"
    head = Head(log, 1, ADDRESSES[0], REACHED_AT, inside(networks.first))
    try:
        head.wait_until_ready()
        yield head
    finally:
        head.kill()


HTTP: dict[str, Any] = {"host": "0.0.0.0", "port": free_port()}
"""Of the namespaces: nothing of this machine listens there."""


def test_where_others_reach_it_a_file_is_refused_without_keys(head: Head, model: str, tmp_path: Path) -> None:
    head.deploy(write(tmp_path / "open.yaml", "autoscaled.yaml", HTTP, gpus_per_replica=0, model=model))
    assert "there are no API keys" in head.wait_for("DEPLOY_FAILED")["message"]


def test_a_node_that_is_killed_costs_its_own_requests_alone(
    networks: Networks, head: Head, model: str, tmp_path: Path
) -> None:
    logits = Reranker.load(model, device="cpu").score([(BODY["query"], text) for text in BODY["texts"]])
    right = pytest.approx(dict(enumerate(logits.tolist())), abs=1e-5)
    flags = {"address": head.address, "node-ip-address": ADDRESSES[1], "num-cpus": 1}
    other = Node(tmp_path / "other.log", flags, head.environment, inside(networks.second))
    try:
        args: Any = {"model": model, "min_replicas": 2, "max_replicas": 2, "threads": 1, "without_keys": True}
        head.deploy(write(tmp_path / "file.yaml", "autoscaled.yaml", HTTP, gpus_per_replica=0, **args))
        head.wait_for("RUNNING")
        assert (head.num_replicas(), other.num_replicas()) == (1, 1)
        with Asking(f"http://{REACHED_AT}:{HTTP['port']}/rerank", BODY, num_clients=4) as asking:
            asking.wait_for(100)
            killed = time.monotonic()
            other.kill()
            time.sleep(NOTICED_S)
            noticed = time.monotonic()
            asking.wait_for(200)
    finally:
        other.kill()
    print(f"{asking.outcomes}, the slowest {max(reply.seconds for reply in asking.replies):.2f} s")
    lost = [(reply.outcome, round(reply.sent + reply.seconds - killed, 2)) for reply in asking.refusals]
    print(f"not answered, and when they ended, in seconds after the kill: {lost}")
    assert all(reply.scores == right for reply in asking.replies if reply.outcome == "200")
    assert all(reply.outcome == "200" for reply in asking.since(noticed))
    assert set(asking.outcomes) <= {"200", "closed", "500", "503"}, asking.outcomes
    assert all(reply.seconds < NOTICED_S for reply in asking.replies)
