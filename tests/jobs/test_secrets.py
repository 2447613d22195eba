"""Real jobs on a real cluster with secrets that can be recognised, and then everything is searched for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import requests

from crossrank import storage
from tests.jobs.head import Head, started
from tests.model import runs
from tests.ray.driver import ROOT
from tests.ray.inputs import Inputs, settings_of
from tests.ray.s3_server import s3_server
from tests.unit.evaluation.test_server_system import Served

pytestmark = pytest.mark.timeout(1500)  # the first test waits for all that is searched
BUCKET = "vault"
OURS = "8b7f0e7c-key-of-the-row-ours"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIA5E3C2E7ACCESSKEY",
    "AWS_SECRET_ACCESS_KEY": "5e3c2e7a/secret+of/AWS",
    "AWS_SESSION_TOKEN": "5e3c2e7a-session-token-of-AWS",
    "HF_TOKEN": "hf_5e3c2e7aTokenOfTheHub",
    "CROSSRANK_KEY": "5e3c2e7a-key-of-a-reranker",
    "CROSSRANK_KEY_OURS": OURS,
    "CROSSRANK_API_KEYS": "5e3c2e7a-key-of-the-server",
}
"""What the environment of a cluster and of its users holds."""


@dataclass
class Vault:
    """What was run, and all that anybody may have read of it meanwhile."""

    head: Head
    folder: Path
    said: dict[str, str] = field(default_factory=dict)
    """By the name of what was run: its standard output and error."""
    command_lines: set[str] = field(default_factory=set)
    """Of all processes that were there."""

    def run(self, name: str, done: subprocess.CompletedProcess[str], *statuses: int) -> None:
        self.said[name] = done.stdout + done.stderr
        assert done.returncode in (statuses or (0,)), self.said[name]

    def submit(self, verb: str, *flags: str, statuses: tuple[int, ...] = (0,)) -> None:
        command = [sys.executable, "-m", "crossrank", "submit", verb, "--address", self.head.dashboard, "--", *flags]
        self.run(f"{verb} {len(self.said)}", run_in(self.head.env, command), *statuses)

    def found_in(self, text: str | bytes) -> list[str]:
        """Which secrets a text holds, by the names of their variables."""
        content = text if isinstance(text, bytes) else text.encode()
        held = [name for name, secret in SECRETS.items() if secret.encode() in content]
        return held + (["RAY_AUTH_TOKEN"] if self.head.env["RAY_AUTH_TOKEN"].encode() in content else [])


def run_in(env: dict[str, str], command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Iterator[Vault]:
    """A cluster on which jobs ended well and badly."""
    folder = tmp_path_factory.mktemp("vault")
    with pytest.MonkeyPatch.context() as patch, s3_server() as url:
        patch.setenv("AWS_ENDPOINT_URL", url)
        patch.setenv("CROSSRANK_CACHE", str(folder / "cache"))
        for name, secret in SECRETS.items():
            patch.setenv(name, secret)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        with started(folder / "head.log") as head:
            vault = Vault(head, folder)
            with _watching(vault.command_lines):
                _run_all(vault, tiny_model)
            yield vault


class _watching:
    """Collects the command lines of all processes below this one."""

    def __init__(self, found: set[str]) -> None:
        self._found = found
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            for process in psutil.Process().children(recursive=True):
                try:
                    self._found.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue


def _run_all(vault: Vault, tiny_model: str) -> None:
    inputs = Inputs.made(num_queries=6, depth=4, num_documents=10)
    here = f"s3://{BUCKET}"
    files = inputs.write(f"{here}/in")
    rerank = [part for name, uri in files.items() for part in (f"--{name}", uri)]
    vault.submit("rerank", "--model", tiny_model, *rerank, "--max-length", "64", "--output", f"{here}/ranked")

    groups = runs.write_groups(vault.folder / "groups.jsonl", num_groups=12)
    storage.write_bytes(f"{here}/groups.jsonl", groups.read_bytes())
    training = ["--base", tiny_model, "--groups", f"{here}/groups.jsonl", "--output", f"{here}/tuned"]
    training += ["--max-length", "64", "--eval-fraction", "0.2", "--set", "num_train_epochs=1"]
    vault.submit("train", *training)

    served = Served(_rerank)
    try:
        evaluating = ["--groups", f"{here}/groups.jsonl", "--set", "timed_queries=2"]
        models = ["--models", f"ours={served.url}/v2/rerank#m", f"other={served.url}/v2/rerank#m"]
        vault.submit("evaluate", *evaluating, *models, "--output", f"{here}/report")
        assert {key for _, _, key in served.asked} == {f"Bearer {OURS}", f"Bearer {SECRETS['CROSSRANK_KEY']}"}
    finally:
        served.close()

    # What fails says more than what does not.
    vault.submit("rerank", "--model", f"{here}/nowhere", *rerank, "--output", f"{here}/failed", statuses=(2,))
    refusing = Served(lambda path, body: (401, {"error": f"{OURS} is no key of ours"}))
    try:
        models = ["--models", f"ours={refusing.url}/v2/rerank#m"]
        vault.submit("evaluate", *evaluating, *models, "--output", f"{here}/refused", statuses=(2,))
    finally:
        refusing.close()
    _fail_with_tracebacks(vault, inputs)


def _rerank(path: str, body: dict[str, Any]) -> tuple[int, Any]:
    found = [{"index": n, "relevance_score": len(text) / 1000} for n, text in enumerate(body["documents"])]
    return 200, {"results": found}


FAILING = """
import sys, traceback
from crossrank import storage
from crossrank.storage.lease import leased
from crossrank.evaluation.server_system import ServerSpec

def read(): storage.read_bytes("s3://vault/nothing")
def claim():
    with leased("s3://vault/out", "--output"): pass
def ask(): ServerSpec.of("ours", "http://127.0.0.1:9/v2/rerank#m", 1.0).check()
for act in (read, claim, ask):
    try:
        act()
    except Exception:
        traceback.print_exc()
"""
"""What a traceback of our own functions shows, when nothing answers."""

WORKER = """
import json, sys
from crossrank.reranking.job import rerank
from crossrank.reranking.settings import RerankSettings
from tests.ray.stand_ins import FailingSpec
rerank(RerankSettings(**json.loads(sys.argv[1])), FailingSpec())
"""
"""A scorer with a bug, whose traceback comes from a worker."""


def _fail_with_tracebacks(vault: Vault, inputs: Inputs) -> None:
    command, nobody = [sys.executable, "-c", FAILING], vault.head.env | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    vault.run("tracebacks", run_in(nobody, command))
    assert vault.said["tracebacks"].count("Traceback (most recent call last)") >= 3, vault.said["tracebacks"]

    settings = settings_of(inputs.write(str(vault.folder / "in")), vault.folder / "out")
    with tempfile.TemporaryDirectory(prefix="cr-", dir="/tmp") as ray:
        env = vault.head.env | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": ray, "RAY_ADDRESS": ""}
        command = [sys.executable, "-c", WORKER, json.dumps(settings)]
        vault.run("a worker", run_in(env, command), 1)
        assert "ZeroDivisionError" in vault.said["a worker"], vault.said["a worker"]
        vault.said["logs of Ray of the worker"] = _content(Path(ray)).decode(errors="replace")
    assert "the forward divided by nothing" in vault.said["logs of Ray of the worker"]


def _content(folder: Path) -> bytes:
    """Of all files below a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert paths, folder
    return b"\n".join(path.read_bytes() for path in paths)


# searched


def test_what_jobs_say_holds_no_secret(vault: Vault) -> None:
    assert [(name, found) for name, said in vault.said.items() for found in vault.found_in(said)] == []


def test_no_command_line_holds_a_secret(vault: Vault) -> None:
    lines = "\n".join(vault.command_lines)
    assert "raylet" in lines
    assert "crossrank rerank" in lines
    assert vault.found_in(lines) == []


def test_no_file_of_an_output_holds_a_secret(vault: Vault) -> None:
    files = storage.list_files(f"s3://{BUCKET}", recursive=True)
    names = {file.uri.rsplit("/", 1)[1] for file in files}
    assert {"_manifest.json", "README.md", "report.html", "results.json"} <= names
    assert [(file.uri, found) for file in files for found in vault.found_in(storage.read_bytes(file.uri))] == []


def test_no_file_of_the_cache_holds_a_secret(vault: Vault) -> None:
    assert vault.found_in(_content(vault.folder / "cache")) == []


def test_what_ray_writes_down_holds_no_secret(vault: Vault) -> None:
    # Other clusters of this machine have folders too.
    of_head = [line for line in vault.command_lines if f"--port={vault.head.gcs.rpartition(':')[2]} " in f"{line} "]
    [folder] = {found[1] for line in of_head if (found := re.search(r"--temp-dir=(/tmp/cr-\w+)", line))}
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name.startswith("job-driver-") for path in files)
    assert any(path.name.startswith("worker-") for path in files)
    assert [(path.name, found) for path in files for found in vault.found_in(path.read_bytes())] == []


@pytest.mark.parametrize("path", ["jobs/", "v0/actors", "v0/tasks", "v0/workers", "v0/runtime_envs", "v0/nodes"])
def test_what_ray_shows_of_jobs_holds_no_secret(vault: Vault, path: str) -> None:
    token = {"authorization": f"Bearer {vault.head.env['RAY_AUTH_TOKEN']}"}
    answer = requests.get(
        f"{vault.head.dashboard}/api/{path}", params={"detail": 1, "limit": 1000}, headers=token, timeout=60
    )
    assert answer.status_code == 200, answer.text[:500]
    if path == "jobs/":
        assert len(answer.json()) == 5
        assert "TOKENIZERS_PARALLELISM" in answer.text, "the variables of a job are shown"
    assert vault.found_in(answer.text) == []


def test_the_environment_is_where_they_are(vault: Vault) -> None:
    # Or nothing of the above would prove a thing: the workers of the cluster have them.
    raylet = next(process for process in vault.head.process.family() if process.name() == "raylet")
    assert {*SECRETS, "RAY_AUTH_TOKEN"} <= raylet.environ().keys()
    assert os.stat(f"/proc/{raylet.pid}/environ").st_mode & 0o077 == 0
