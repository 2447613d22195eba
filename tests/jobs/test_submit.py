"""Jobs submitted to a cluster, by `crossrank submit` and by `ray job submit`: the source on this disk runs there."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from crossrank import __version__
from tests.jobs.head import RAY, Head, crossrank, rerank_flags
from tests.ray.driver import ROOT, wait_for
from tests.ray.inputs import Inputs, read_output
from tests.ray.s3_server import free_port


@pytest.fixture
def inputs() -> Inputs:
    return Inputs.made(num_queries=6, depth=4, num_documents=10)


def assert_is_ranked(inputs: Inputs, folder: Path) -> None:
    table = read_output(str(folder / "out"))
    assert table["query_id"].to_pylist() == list(inputs.queries)
    assert [len(docs) for docs in table["docs"].to_pylist()] == [4] * 6


def assert_is_shipped(log: str) -> None:
    found = re.search(r"\] crossrank (\S+) from (\S+), commit (.+)", log)
    assert found, log
    assert found[1] == __version__
    assert "runtime_resources/py_modules_files" in found[2]  # the shipped tree, and not the package installed here


def test_ray_job_submit_runs_the_source_on_this_disk(
    head: Head, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    job = ["python", "jobs/rerank_corpus.py", *rerank_flags(inputs, tiny_model, tmp_path)]
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--runtime-env", "jobs/runtime_env.yaml", "--", *job]
    done = subprocess.run(submit, cwd=ROOT, env=head.env, capture_output=True, text=True, timeout=200, check=False)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert_is_shipped(log)
    assert_is_ranked(inputs, tmp_path)


def test_a_verb_is_submitted_from_anywhere_with_its_configuration_and_followed_to_its_end(
    head: Head, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    folder = tmp_path / "우리 자료"  # what a shell would split, and what is no ASCII
    folder.mkdir()
    (folder / "설정 1.yaml").write_text("top_n: 2\n")
    flags = rerank_flags(inputs, tiny_model, folder)
    done = crossrank(head, "submit", "rerank", "--", *flags, "--config", "설정 1.yaml", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_is_shipped(done.stdout)
    assert re.search(r", commit [0-9a-f]{12}\+?,", done.stdout)  # though no git was shipped
    assert [line for line in done.stderr.splitlines() if "submitted as" not in line] == []
    table = read_output(str(folder / "out"))
    assert [len(docs) for docs in table["docs"].to_pylist()] == [2] * 6
    assert done.stdout.count("] finished: ") == 1  # each line of the log is told once


def test_the_exit_status_is_that_of_the_verb_and_its_sentence_is_seen(head: Head) -> None:
    flags = ["--model", "s3://nowhere/model", "--groups", "/nowhere/groups.jsonl", "--output", "/nowhere/out"]
    done = crossrank(head, "submit", "rerank", "--", *flags, "--top-n", "-1")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "crossrank: --top-n is -1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_job_that_is_left_alone_is_asked_for_stopped_and_goes_on(head: Head, tiny_model: str, tmp_path: Path) -> None:
    inputs = Inputs.made(num_queries=2000, depth=20, num_documents=40)  # more than is scored until it is stopped
    flags = rerank_flags(inputs, tiny_model, tmp_path)
    detached = crossrank(head, "submit", "rerank", "--detach", "--", *flags)
    assert detached.returncode == 0, detached.stderr
    job = detached.stdout.strip()  # for a script: job=$(crossrank submit --detach ...)
    assert f"submitted as {job}, in " in detached.stderr
    prepared = tmp_path / "out" / "_prepared" / "plan.json"
    wait_for(prepared.exists, 120, lambda: crossrank(head, "jobs", "logs", job).stdout)
    stopped = crossrank(head, "jobs", "stop", job)
    assert stopped.returncode == 0, stopped.stderr
    assert f"{job} is stopped" in stopped.stderr
    told = crossrank(head, "jobs", "status", job)
    assert told.returncode == 1
    assert re.search(r"^state +stopped$", told.stdout, re.MULTILINE), told.stdout
    assert re.search(r"^command +python -m crossrank rerank --queries ", told.stdout, re.MULTILINE), told.stdout
    assert len(told.stdout.splitlines()) <= 8, "the end of the log is no part of it"
    logs = crossrank(head, "jobs", "logs", job)
    assert logs.returncode == 0, logs.stderr
    assert "finished" not in logs.stdout
    assert "Traceback" not in logs.stdout
    assert "stopped before its end; run the same command again" in logs.stdout
    assert "SIGTERM received" not in logs.stdout
    again = crossrank(head, "jobs", "stop", job)
    assert again.returncode == 0, again.stderr
    assert f"{job} had ended before: stopped; there is nothing to stop" in again.stderr

    again = crossrank(head, "submit", "rerank", "--", *flags)
    assert again.returncode == 0, again.stdout + again.stderr
    assert read_output(str(tmp_path / "out"))["query_id"].to_pylist() == list(inputs.queries)


@pytest.mark.parametrize("given", ["as a flag", "in a file"])
def test_a_relative_output_is_refused_and_nothing_is_written_on_the_head(
    head: Head, inputs: Inputs, tiny_model: str, tmp_path: Path, given: str
) -> None:
    flags = rerank_flags(inputs, tiny_model, tmp_path)
    place = flags.index("--output")
    flags[place : place + 2] = ["--output", "out"] if given == "as a flag" else ["--config", "c.yaml"]
    (tmp_path / "c.yaml").write_text("output: out\n")
    done = crossrank(head, "submit", "rerank", "--", *flags, folder=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "crossrank: out is a relative path, and a submitted job runs on the cluster, in a" in done.stdout
    assert not list(Path(head.folder).rglob("out/_manifest.json"))


def test_whoever_reads_the_log_no_more_leaves_the_job_at_work_and_is_told_so(
    head: Head, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    flags = shlex.join(rerank_flags(inputs, tiny_model, tmp_path))
    command = (
        f"{shlex.quote(sys.executable)} -m crossrank submit rerank --address {head.dashboard} -- {flags} | head -1"
    )
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=head.env, capture_output=True, text=True, timeout=200, check=False
    )
    [job] = re.findall(r"(\S+) goes on, and nobody reads its log; end it by: crossrank jobs stop", done.stderr)
    assert crossrank(head, "jobs", "logs", "--follow", job).returncode == 0
    assert_is_ranked(inputs, tmp_path)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    return line


def test_a_token_that_is_wrong_is_one_sentence(head: Head) -> None:
    done = crossrank(head, "jobs", "status", "x", RAY_AUTH_TOKEN="wrong")
    assert sentence(done).startswith(f"crossrank: the cluster at {head.dashboard} asks for a token and does not take")


def test_a_missing_token_is_one_sentence(head: Head, tmp_path: Path) -> None:
    # Where no token is asked of a client it sends none, and the home of nobody has no file with one.
    done = crossrank(head, "jobs", "status", "x", RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN="", HOME=str(tmp_path))
    assert sentence(done).startswith(f"crossrank: the cluster at {head.dashboard} asks for a token and does not take")


def test_a_job_that_nobody_knows_is_one_sentence(head: Head) -> None:
    for verb in ("status", "logs", "stop"):
        done = crossrank(head, "jobs", verb, "raysubmit_none")
        assert sentence(done) == (
            f"crossrank: the cluster at {head.dashboard} knows no job raysubmit_none; check its name"
        )


def test_a_head_that_cannot_be_reached_is_one_sentence(head: Head) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    done = crossrank(head, "submit", "rerank", "--address", nobody, "--", "--model", "x")
    assert sentence(done).startswith(f"crossrank: no job server answers at {nobody}; open a tunnel to the head")


def test_an_address_that_is_none_is_one_sentence(head: Head) -> None:
    done = crossrank(head, "jobs", "stop", "x", "--address", "head:8265")
    assert sentence(done) == "crossrank: --address is head:8265; write it with http://, as in http://HEAD:8265"
    done = crossrank(head, "jobs", "stop", "x", RAY_API_SERVER_ADDRESS="")
    assert sentence(done).startswith("crossrank: --address is missing; name the job server of the cluster")


def test_a_cluster_of_another_ray_is_refused(head: Head) -> None:
    class Older(BaseHTTPRequestHandler):
        """The one answer of a job server that is asked for its version."""

        def do_GET(self) -> None:
            told = json.dumps({"version": "4", "ray_version": "2.50.0", "ray_commit": "x"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Older) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        done = crossrank(head, "submit", "rerank", "--address", address, "--", "--model", "x")
        server.shutdown()
    assert sentence(done) == (
        f"crossrank: the cluster at {address} runs Ray 2.50.0, and here is {ray_version()}; install the same on both"
    )


def ray_version() -> str:
    return importlib.metadata.version("ray")
