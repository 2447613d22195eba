"""The firewall of docs/security.md around a server that listens on all addresses, in a network namespace of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.serving.conftest import KEY
from tests.serving.networks import inside, networks_of_their_own
from tests.serving.server import ROOT, Server

HERE, NODE, THERE = "10.214.1.1", "10.214.1.2", "10.214.1.3"
"""A stranger and another node of the cluster, both this machine, and the server."""
HERE_6, THERE_6 = "fd00:214::1", "fd00:214::3"
CONNECTS_S = 1.0


@pytest.fixture
def network() -> Iterator[str]:
    if shutil.which("iptables") is None or shutil.which("ip6tables") is None:
        pytest.skip("no iptables here")
    name = f"crossrank-f{os.getpid()}"
    commands = f"""
        ip netns add {name}
        ip link add cr-wall type veth peer name cr-out netns {name}
        ip addr add {HERE}/24 dev cr-wall
        ip addr add {NODE}/24 dev cr-wall
        ip addr add {HERE_6}/64 dev cr-wall nodad
        ip -n {name} addr add {THERE}/24 dev cr-out
        ip -n {name} addr add {THERE_6}/64 dev cr-out nodad
        ip link set cr-wall up
        ip -n {name} link set lo up
        ip -n {name} link set cr-out up
        ip -n {name} route add default via {HERE}
    """
    with networks_of_their_own([name], commands):
        yield name


def test_from_outside_the_server_alone_is_reached_and_from_another_node_all_is(
    network: str, model: str, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    flags = ("--host", "0.0.0.0", "--api-keys", str(keys))
    server = Server(model, tmp_path / "server.log", *flags, inside=inside(network), reached_at=THERE)
    try:
        server.wait_until_ready()
        before, before_6 = open_ports(network, HERE, THERE), open_ports(network, HERE_6, THERE_6)
        [rules] = re.findall(r"^    for wall.*?\n\n", (ROOT / "docs/security.md").read_text(), re.MULTILINE | re.DOTALL)
        rules = textwrap.dedent(rules).replace("8000", str(server.port)).replace("10.0.0.0/24", NODE)
        subprocess.run([*inside(network), "sh", "-e", "-c", rules], check=True)
        print(f"open before: {sorted(before)}, over IPv6: {sorted(before_6)}")
        assert len(before) > 5
        assert before_6
        assert open_ports(network, HERE, THERE) == {server.port}
        assert open_ports(network, HERE_6, THERE_6) == set()
        assert open_ports(network, NODE, THERE) == before
        body = {"query": "q", "texts": ["a"]}
        assert requests.post(f"{server.url}/rerank", json=body, timeout=60).status_code == 401
        headers = {"authorization": f"Bearer {KEY}"}
        assert requests.post(f"{server.url}/rerank", json=body, headers=headers, timeout=60).status_code == 200
    finally:
        server.stop()


def open_ports(network: str, source: str, address: str) -> set[int]:
    """Of the ports that anything listens on there, those that can be reached from `source`."""
    told = subprocess.run([*inside(network), "ss", "-Hltn"], capture_output=True, text=True, check=True).stdout
    listening = sorted({int(line.split()[3].rsplit(":", 1)[1]) for line in told.splitlines()})

    def is_reached(port: int) -> bool:
        try:
            socket.create_connection((address, port), CONNECTS_S, (source, 0)).close()
        except OSError:
            return False
        return True

    with ThreadPoolExecutor(16) as clients:
        return {port for port, reached in zip(listening, clients.map(is_reached, listening), strict=True) if reached}
