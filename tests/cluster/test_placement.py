"""Two nodes that say they have GPUs, of two kinds: workers go where they were wanted, and share a GPU where told.

The GPUs are numbers of Ray's; a worker that finds none scores on the CPU.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ray.driver import Driver, wait_for
from tests.ray.inputs import Inputs, read_output
from tests.serving.head import Head, Node, title

KINDS = ("L4", "H100")
STARTS_S = 60.0
ENDS_S = 240.0


@dataclass(frozen=True)
class Nodes:
    """A head that does no work, and a node of each kind."""

    of_kind: dict[str, Node]
    environment: dict[str, str]

    def scoring(self, kind: str) -> int:
        """Workers that score on the node of a kind."""
        return sum(title(process).startswith("ray::MapWorker") for process in self.of_kind[kind].family())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    started: list[Node] = []
    try:
        head = Head(folder / "head.log", num_cpus=0)
        started.append(head)
        head.wait_until_ready()
        flags = {"address": head.address, "num-cpus": 3, "num-gpus": 2, "min-worker-port": 0, "max-worker-port": 0}
        for kind in KINDS:
            resources = {"resources": f'{{"accelerator_type:{kind}": 1}}'}
            started.append(Node(folder / f"{kind}.log", flags | resources, head.environment))
        of_kind = dict(zip(KINDS, started[1:], strict=True))
        for node in of_kind.values():
            until = time.monotonic() + STARTS_S
            while "Ray runtime started" not in node.said:
                assert time.monotonic() < until, node.said
                time.sleep(0.2)
        yield Nodes(of_kind, head.environment | {"RAY_ADDRESS": head.address})
    finally:
        for node in started[::-1]:
            node.kill()


def start(nodes: Nodes, inputs: Inputs, model: str, folder: Path, **more: str) -> Driver:
    flags = {**inputs.write(str(folder)), "model": model, "output": str(folder / "out"), "max-length": "64", **more}
    command = [sys.executable, "-m", "crossrank", "rerank"]
    command += [part for name, value in flags.items() for part in (f"--{name.replace('_', '-')}", value)]
    return Driver(command, folder / "log", os.environ | nodes.environment)


def test_three_workers_share_two_gpus_of_the_kind_that_was_asked_for(
    nodes: Nodes, inputs: Inputs, tiny_model: str, tmp_path: Path, drivers: list[Driver]
) -> None:
    wanted = {"accelerator": "H100", "gpus_per_worker": "0.5", "workers": "3"}
    job = start(nodes, inputs, tiny_model, tmp_path, **wanted)
    drivers.append(job)
    seen = dict.fromkeys(KINDS, 0)
    until = time.monotonic() + ENDS_S
    while job.running:
        assert time.monotonic() < until, job.said
        seen = {kind: max(seen[kind], nodes.scoring(kind)) for kind in KINDS}
        time.sleep(0.05)
    assert job.wait(1) == 0, job.said
    assert seen == {"L4": 0, "H100": 3}
    assert read_output(str(tmp_path / "out"))["query_id"].to_pylist() == list(inputs.queries)


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ({"gpus_per_worker": "4"}, "4 GPU"),
        ({"accelerator": "B200"}, "1 GPU of the kind B200"),
    ],
)
def test_what_no_node_has_is_said_at_once_with_what_there_is(
    nodes: Nodes,
    inputs: Inputs,
    tiny_model: str,
    tmp_path: Path,
    drivers: list[Driver],
    wanted: dict[str, str],
    what: str,
) -> None:
    job = start(nodes, inputs, tiny_model, tmp_path, **wanted)
    drivers.append(job)
    said = f"has {what} for a worker (there are 2, of at most 3 CPUs and 2 GPUs (H100, L4)); waiting for one"
    wait_for(lambda: said in job.said or not job.running, STARTS_S, lambda: job.said)
    assert job.running, job.said
