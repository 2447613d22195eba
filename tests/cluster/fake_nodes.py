"""cluster.yaml on one machine: Ray's own autoscaler, with nodes that are processes instead of instances of AWS."""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID, FAKE_HEAD_NODE_TYPE
from ray.autoscaler._private.util import prepare_config

from tests.ray.driver import Driver, wait_for
from tests.ray.s3_server import answers, free_port

PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
OF_AWS = ("setup_commands", "head_setup_commands", "worker_setup_commands", "initialization_commands")
IDLE_MINUTES = 0.1


@dataclass(frozen=True, slots=True)
class FakeCluster:
    """A head that brings nodes when they are asked for."""

    gcs: str
    dashboard: str
    env: dict[str, str]
    """For those that join it, and for `crossrank submit`."""


def with_fake_nodes(config: dict[str, Any], gcs: str) -> dict[str, Any]:
    """The configuration with its provider swapped, and nothing else that decides how many nodes of which kind come."""
    swapped = copy.deepcopy(config)
    types = swapped["available_node_types"]
    types[FAKE_HEAD_NODE_TYPE] = types.pop(swapped["head_node_type"])
    for each in types.values():
        each["node_config"] = {}
    # The provider by its class: the wheel of Ray lacks the defaults of its type "fake_multinode".
    provider: dict[str, Any] = {"type": "external", "module": PROVIDER, "gcs_address": gcs}
    provider |= {"head_node_id": FAKE_HEAD_NODE_ID, "launch_multiple": True}
    nothing: dict[str, Any] = {key: [] for key in OF_AWS} | {"file_mounts": {}}
    return swapped | nothing | {"head_node_type": FAKE_HEAD_NODE_TYPE, "provider": provider}


@contextmanager
def fake_cluster(config: dict[str, Any], log: Path) -> Iterator[FakeCluster]:
    """Start the head of a configuration as `ray up` would, on this machine."""
    ports = [free_port() for _ in range(4)]
    gcs, dashboard = f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}"
    swapped = with_fake_nodes(prepare_config(config), gcs) | {"idle_timeout_minutes": IDLE_MINUTES}
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    env = os.environ | token | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    env.pop("PYTHONPATH", None)  # the job has to find the tree that was shipped
    of_head = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1"}
    of_head |= {"RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID, "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID}
    of_head |= {"RAY_num_workers_soft_limit": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    cpus = config["available_node_types"][config["head_node_type"]]["resources"]["CPU"]
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as folder:  # short: sockets lie in it
        file = Path(folder) / "cluster.json"
        file.write_text(json.dumps(swapped))
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--num-cpus={cpus}"]
        command += ["--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--temp-dir={folder}"]
        command += [f"--port={ports[0]}", f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}"]
        command += [f"--dashboard-agent-listen-port={ports[3]}", f"--autoscaling-config={file}"]
        process = Driver(command, log, env | of_head)
        try:
            wait_for(lambda: answers(ports[1]) or not process.running, 60, lambda: process.said)
            assert process.running, process.said
            yield FakeCluster(gcs, f"http://{dashboard}", env)
        finally:
            process.close()
