"""Two nodes that say they have GPUs, of two kinds: workers go where they were wanted, and share a GPU where told.

The GPUs are numbers of Ray's; a worker that finds none scores on the CPU.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ray.driver import Driver, wait_for
from tests.ray.inputs import Inputs, part_files, ranked_of, read_output
from tests.serving.head import Head, Node, program, title

KINDS = ("L4", "H100")
STARTS_S = 60.0
ENDS_S = 240.0
LEAVES_S = 5


@dataclass(frozen=True)
class Nodes:
    """A head that does no work, and a node of each kind."""

    head: Head
    of_kind: dict[str, Node]
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return self.head.environment | {"RAY_ADDRESS": self.head.address}

    def join(self, kind: str) -> None:
        """A node with two GPUs of a kind."""
        flags = {"address": self.head.address, "num-cpus": 3, "num-gpus": 2, "min-worker-port": 0, "max-worker-port": 0}
        flags |= {"resources": f'{{"accelerator_type:{kind}": 1}}', "node-name": kind}
        node = self.of_kind[kind] = Node(self.folder / f"{kind}.log", flags, self.head.environment)
        wait_for(lambda: "Ray runtime started" in node.said, STARTS_S, lambda: node.said)

    def tell_to_leave(self, kind: str) -> None:
        """As an autoscaler does with a node that it takes away in `LEAVES_S`: no new work goes there."""
        code = (
            "import ray; ray.init(log_to_driver=False, logging_level='ERROR'); "
            f"print(*[node['NodeID'] for node in ray.nodes() if node['NodeName'] == '{kind}' and node['Alive']])"
        )
        environment = os.environ | self.environment
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        [node_id] = found.stdout.splitlines()[-1].split()
        told = ["--node-id", node_id, "--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "scaled down"]
        told += ["--address", self.head.address, "--deadline-remaining-seconds", str(LEAVES_S)]
        subprocess.run([program("ray"), "drain-node", *told], env=environment, timeout=60, check=True)

    def scoring(self, kind: str) -> int:
        """Workers that score on the node of a kind."""
        return sum(title(process).startswith("ray::MapWorker") for process in self.of_kind[kind].family())


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    head = Head(folder / "head.log", num_cpus=0)
    found = Nodes(head, {}, folder)
    try:
        head.wait_until_ready()
        for kind in KINDS:
            found.join(kind)
        yield found
    finally:
        for node in [*found.of_kind.values(), head]:
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
    said = f"has {what} for a worker (it has 2 nodes, of at most 3 CPU cores and 2 GPUs (H100, L4)); waiting for one"
    wait_for(lambda: said in job.said or not job.running, STARTS_S, lambda: job.said)
    assert job.running, job.said


def test_a_cluster_that_shrinks_and_grows_again_in_the_middle_of_a_job_loses_no_row(
    nodes: Nodes, tmp_path: Path, drivers: list[Driver], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = Inputs.made(num_queries=300, depth=8)
    output = str(tmp_path / "out")
    settings = {**inputs.write(str(tmp_path)), "model": "stand-in", "output": output, "workers": "1:4"}
    for name, value in nodes.environment.items():
        monkeypatch.setenv(name, value)
    job = Driver.of_job(settings, {"log": str(tmp_path / "scored.log"), "pair_s": 0.05}, tmp_path / "log")
    drivers.append(job)

    def wait_until(what: Callable[[], bool]) -> None:
        wait_for(lambda: what() or not job.running, ENDS_S, lambda: job.said)
        assert job.running, job.said

    wait_until(lambda: all(nodes.scoring(kind) for kind in KINDS))
    wait_until(lambda: len(part_files(output)) > 20)
    nodes.tell_to_leave("L4")
    time.sleep(LEAVES_S)
    nodes.of_kind["L4"].kill()
    left = len(part_files(output))
    wait_until(lambda: len(part_files(output)) > left + 10)  # the job goes on with what there is
    nodes.join("L4")
    wait_until(lambda: nodes.scoring("L4") > 0)
    assert job.wait(ENDS_S) == 0, job.said
    assert ranked_of(read_output(output)) == inputs.ranked(top_n=10)
    scored = sum(int(line.split()[1]) for line in (tmp_path / "scored.log").read_text().splitlines())
    print(f"{scored - 2400} pairs were scored twice or to measure")
