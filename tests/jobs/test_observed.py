"""A job as an operator sees it: on the port that Prometheus collects from, and in its log as JSON.

How it could fail users: a dashboard that is empty, or that counts twice what was done once; a log of which a collector
understands all lines but the one that matters.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crossrank.resumable.output import manifest_of, read_json
from tests.data.filtering import written
from tests.jobs.head import Head, crossrank, rerank_flags
from tests.ray.driver import ROOT, Driver, wait_for
from tests.ray.inputs import Inputs, settings_of

RAY_ITSELF = r"INFO job_manager\.py|^Running entrypoint for job |\(raylet\)"
SENT_S = 40.0
"""What a job counted has to be there by then: Ray sends it every ten seconds, and when a process ends."""


@pytest.fixture
def inputs() -> Inputs:
    return Inputs.made(num_queries=6, depth=4, num_documents=10)


def counted(head: Head, job: str, name: str, **labels: str) -> float | None:
    """The value of one series of a job; None where there is none."""
    found = head.series(f"ray_rr_job_{name}", job=job, **labels)
    assert len(found) <= 1, found
    return found[0][1] if found else None


def wait_until_ended(head: Head, job: str) -> None:
    wait_for(lambda: counted(head, job, "runs_total") is not None, SENT_S, lambda: f"nothing of {job} was exported")


def lines_of(log: str) -> list[dict[str, Any]]:
    """All that a driver wrote to both its streams, but for what Ray itself says there; see docs/logs.md."""
    return [json.loads(line) for line in log.splitlines() if not re.search(RAY_ITSELF, line)]


def job_of(lines: list[dict[str, Any]]) -> str:
    [job] = {line["job"] for line in lines}
    assert isinstance(job, str)
    return job


def test_a_submitted_rerank_is_seen_by_prometheus_and_every_line_of_its_log_is_json(
    head: Head, inputs: Inputs, tiny_model: str, tmp_path: Path
) -> None:
    inputs = replace(inputs, queries=inputs.queries | {"q2": " "})
    flags = rerank_flags(inputs, tiny_model, tmp_path)
    done = crossrank(head, "submit", "rerank", "--", *flags, CROSSRANK_LOG="json")
    assert done.returncode == 0, done.stdout + done.stderr

    [submitted] = lines_of(done.stderr)
    lines = lines_of(done.stdout)
    job = job_of(lines)
    assert submitted["message"].startswith(f"submitted as {job}, in ")
    for line in lines:
        assert (line["verb"], line["node"]) == ("rerank", socket.gethostname()), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert lines[0]["message"].startswith("crossrank ")
    [end] = [line for line in lines if line.get("unit") == "queries" and line["done"] == 6]
    assert end["total"] == 6

    wait_until_ended(head, job)
    manifest = read_json(manifest_of(str(tmp_path / "out")))
    found = {
        name: counted(head, job, f"{name}_total", verb="rerank")
        for name in ("rows_read", "rows_done", "pairs", "tokens", "padding_tokens", "rows_resumed")
    }
    # Five queries have four candidates each; the sixth is empty, and nothing of it is scored.
    assert (manifest["pairs"], manifest["rows"]["in"]) == (20, 6)
    assert found == {
        "rows_read": 6,
        "rows_done": 6,
        "pairs": 20,
        "tokens": manifest["tokens"],
        "padding_tokens": manifest["padding"] or None,
        "rows_resumed": None,
    }
    assert counted(head, job, "rows_rejected_total", reason="empty_query") == 1
    assert counted(head, job, "runs_total", outcome="done", verb="rerank") == 1
    stages = {labels["stage"]: value for labels, value in head.series("ray_rr_job_stage_seconds_total", job=job)}
    assert stages == pytest.approx(manifest["seconds"], abs=0.001)
    [(labels, _)] = head.series("ray_rr_job_rows_done_total", job=job)
    assert labels["NodeAddress"]  # the node is told by Ray


def test_a_job_that_has_no_work_for_the_cluster_is_counted_there_too(head: Head, tmp_path: Path) -> None:
    groups = written(tmp_path / "groups.parquet", 7)
    flags = ["--groups", groups, "--source", "en", "--target", "ko", "--output", str(tmp_path / "filtered")]
    done = crossrank(head, "submit", "filter", "--", *flags, CROSSRANK_LOG="json")
    assert done.returncode == 0, done.stdout + done.stderr
    job = job_of(lines_of(done.stdout))
    wait_until_ended(head, job)
    assert counted(head, job, "rows_read_total", verb="filter") == 7
    assert counted(head, job, "rows_done_total", verb="filter") == 7


def test_a_worker_that_dies_is_counted_and_no_row_is_counted_twice(head: Head, inputs: Inputs, tmp_path: Path) -> None:
    settings = settings_of(inputs.write(str(tmp_path)), tmp_path / "out", workers="1")
    work = json.dumps({"settings": settings, "spec": {"log": str(tmp_path / "scored"), "pair_s": 0.5}})
    environment = head.env | {"RAY_ADDRESS": head.gcs, "PYTHONPATH": str(ROOT), "CROSSRANK_LOG": "json"}
    driver = Driver([sys.executable, "-m", "tests.ray.driver", work], tmp_path / "driver.log", environment)
    try:
        wait_for(lambda: bool(list((tmp_path / "out").glob("part-*"))), 120, lambda: driver.said)
        assert head.process.kill_worker()
        assert driver.wait(200) == 0, driver.said
    finally:
        driver.close()
    job = lines_of(driver.said)[-1]["job"]  # that of Ray, since nobody submitted it
    wait_until_ended(head, job)
    assert counted(head, job, "rows_done_total", verb="rerank") == 6
    assert counted(head, job, "pairs_total", verb="rerank") == 24
    # The worker itself counts that it was started again, and tells of it when Ray asks it to.
    wait_for(lambda: counted(head, job, "worker_restarts_total") == 1, SENT_S, lambda: "no restart was counted")
