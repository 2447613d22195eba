"""Two nodes of which one has a disk of its own: what lies there is refused before any work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ray.inputs import Inputs, read_output
from tests.serving.head import Head, Node

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="a mount namespace needs root and unshare"
)


@dataclass(frozen=True)
class Nodes:
    """A cluster of a head and a second node."""

    address: str
    second: Node
    environment: dict[str, str]
    private: Path
    """A folder of the head's disk; the second node sees another one there."""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    private = folder / "private"
    private.mkdir()
    head = Head(folder / "head.log", num_cpus=3)
    second = None
    try:
        head.wait_until_ready()
        inside = ["unshare", "--mount", "bash", "-c", f'mount -t tmpfs tmpfs {private} && exec "$@"', "bash"]
        flags = {"address": head.address, "num-cpus": 3, "min-worker-port": 0, "max-worker-port": 0}
        second = Node(folder / "second.log", flags, head.environment, inside)
        until = time.monotonic() + 60
        while "Ray runtime started" not in second.said:
            assert time.monotonic() < until, second.said
            time.sleep(0.2)
        yield Nodes(head.address, second, head.environment, private)
    finally:
        if second is not None:
            second.kill()
        head.kill()


def rerank(nodes: Nodes, inputs: Inputs, model: Path, folder: Path, output: Path) -> subprocess.CompletedProcess[str]:
    flags = {**inputs.write(str(folder)), "model": str(model), "output": str(output), "max-length": "64"}
    flags |= {"limit": "6", "workers": "2"}
    command = [sys.executable, "-m", "crossrank", "rerank"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    env = nodes.environment | {"RAY_ADDRESS": nodes.address}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_model_on_a_disk_of_one_node_is_refused_before_any_work(
    nodes: Nodes, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    model = nodes.private / "model"
    shutil.copytree(tiny_model, model)
    told = sentence(rerank(nodes, inputs, model, tmp_path, tmp_path / "out"))
    assert told.startswith(f"crossrank: --model is {model}, on a disk that the node ")
    assert told.endswith(" does not share; use s3://, or a disk that all nodes mount")
    assert not list((tmp_path / "out").glob("part-*"))


def test_an_output_on_a_disk_of_one_node_is_refused_before_any_work(
    nodes: Nodes, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    told = sentence(rerank(nodes, inputs, Path(tiny_model), tmp_path, nodes.private / "out"))
    assert told.startswith(f"crossrank: --output is {nodes.private / 'out'}, on a disk that the node ")
    assert not list((nodes.private / "out").glob("part-*"))


def test_a_corpus_on_a_disk_of_one_node_is_refused_before_any_work(
    nodes: Nodes, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    told = sentence(rerank(nodes, inputs, Path(tiny_model), nodes.private, tmp_path / "out"))
    assert told.startswith(f"crossrank: --corpus is {nodes.private / 'corpus.jsonl'}, on a disk that the node ")
    assert not list((tmp_path / "out").glob("part-*"))


def test_what_both_see_is_worked_on_by_both(nodes: Nodes, inputs: Inputs, tiny_model: str, tmp_path: Path) -> None:
    done = rerank(nodes, inputs, Path(tiny_model), tmp_path, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert read_output(str(tmp_path / "out"))["query_id"].to_pylist() == list(inputs.queries)[:6]
