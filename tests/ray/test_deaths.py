"""Workers that the system kills, with a real Ray: said at once with the reason, and the job ends in one sentence."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray.core.generated import common_pb2, gcs_pb2

from crossrank.cluster.on_ray import deaths
from crossrank.errors import JobFailed
from crossrank.resumable.on_ray.attempts import AFTER_DEATH
from tests.ray.driver import ROOT, Driver, kill, wait_for
from tests.ray.inputs import Inputs, read_output

TOLD = """\
1 worker(s) were killed due to the node running low on memory. Memory on the node (IP: 192.0.2.2, ID: 85e577) was \
22.95GB used / 23.54GB limit (0.974)
Top 10 memory users: PID\tMEM(GB)\tCOMMAND
5218\t15.51\t/usr/bin/java -Xmx16g
"""
SHORT_OF_MEMORY = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "200"}
"""To Ray every machine is too full then: it kills each worker that it can."""


class Table:
    """Stands in for Ray's table of workers: those that have ended."""

    def __init__(self) -> None:
        self.workers: list[gcs_pb2.WorkerTableData] = []

    def end(self, how: int, detail: str) -> None:
        """One more has ended."""
        worker = gcs_pb2.WorkerTableData(exit_type=how, exit_detail=detail)
        worker.worker_address.worker_id = str(len(self.workers)).encode()
        worker.worker_address.ip_address = "192.0.2.2"
        self.workers.append(worker)


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    made = Table()
    monkeypatch.setattr(deaths, "_dead_workers", lambda: made.workers)
    monkeypatch.setattr(deaths, "_is_ours", lambda detail: "other job" not in detail)
    return made


def test_each_death_is_said_once_with_its_reason(table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    table.end(deaths.SILENT, "of an earlier job")
    watch = deaths.Watch("finished blocks are kept")
    watch.look()
    table.end(deaths.SILENT, "Worker unexpectedly exits with a connection error code 2. End of file.")
    table.end(common_pb2.WorkerExitType.INTENDED_SYSTEM_EXIT, "idle")
    table.end(deaths.SILENT, "a worker of other job")
    watch.look()
    watch.look()
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "WARNING: a worker on 192.0.2.2 died: it ended without a word, as what the system kills for want of memory "
        "does; it is started again"
    )
    assert watch.verdict is None


def test_six_that_memory_killed_one_after_another_end_the_job_unless_something_was_done_between(
    table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = deaths.Watch("finished blocks are kept")
    for number in range(10):
        table.end(deaths.OUT_OF_MEMORY, TOLD)
        watch.look()
        assert watch.verdict is None
        if number == 4:
            watch.progressed()
    table.end(deaths.OUT_OF_MEMORY, TOLD)
    watch.look()
    assert str(watch.verdict) == (
        "6 workers were killed one after another, since memory ran out: 22.9 of 23.5 GB of 192.0.2.2 are in use, most "
        "by process 5218 (java) 15.5 GB; finished blocks are kept: use --workers 1, or a machine with more memory, and "
        "run the same command again"
    )
    assert len(capsys.readouterr().err.splitlines()) == 11


@pytest.mark.parametrize("heeded", [signal.default_int_handler, signal.SIG_IGN])
def test_a_driver_that_waits_is_woken_by_the_verdict_in_the_background_of_a_script_too(
    heeded: Any, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, heeded)  # a shell starts what is in the background with SIGINT ignored
    try:
        _is_woken(table, monkeypatch)
    finally:
        signal.signal(signal.SIGINT, before)


def _is_woken(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, deaths.WAKE)]
    monkeypatch.setattr(deaths, "LOOK_S", 0.01)
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    began = time.monotonic()
    with pytest.raises(JobFailed, match="workers were killed one after another"), deaths.watching():  # noqa: PT012
        for _ in range(deaths.MOST_FOR_MEMORY):
            table.end(deaths.OUT_OF_MEMORY, TOLD)
        time.sleep(30)
    assert time.monotonic() - began < 10
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, deaths.WAKE)] == handlers


def test_ctrl_c_stays_ctrl_c(table: Table) -> None:
    with pytest.raises(KeyboardInterrupt), deaths.watching():
        raise KeyboardInterrupt


@pytest.fixture
def command(inputs: Inputs, tiny_model: str, tmp_path: Path) -> list[str]:
    command = [sys.executable, "-m", "crossrank", "rerank", "--model", tiny_model, "--output", str(tmp_path / "out")]
    for name, value in inputs.write(str(tmp_path)).items():
        command += [f"--{name}", value]
    return command


def test_a_machine_short_of_memory_is_named_at_once_and_the_last_sentence_is_whole(command: list[str]) -> None:
    environment = os.environ | SHORT_OF_MEMORY
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout == "", "Ray's pages are kept out of the terminal"
    *log, sentence = done.stderr.splitlines()
    assert all(line.startswith("[") for line in log), "its standard error too"
    killed = [line for line in log if "a worker was killed, since memory ran out: " in line]
    assert killed
    assert re.search(r"[\d.]+ of [\d.]+ GB of \S+ are in use, most by process \d+ \(.+\) [\d.]+ GB", killed[0])
    assert "--workers 1 takes less" in killed[0]
    assert sentence.startswith("crossrank: ")
    assert "since memory ran out: " in sentence
    assert sentence.endswith(": use --workers 1, or a machine with more memory, and run the same command again"), (
        "cut in the middle of nothing"
    )
    assert time.monotonic() - began < 240


class Terminal:
    """A command as a process of its own, and what its user sees."""

    def __init__(self, command: list[str], folder: Path, drivers: list[Driver]) -> None:
        self.driver = Driver(command, folder / f"terminal-{len(drivers)}.log")
        drivers.append(self.driver)

    def ended(self) -> tuple[int, list[str]]:
        """The exit status, and the lines of standard output and standard error together."""
        return self.driver.wait(STARTS_S), self.driver.said.splitlines()

    def kill_one(self, after_s: float = 0.0) -> bool:
        """SIGKILL for a worker that is in the middle of a block, if there is one.

        Args:
            after_s: seconds that it is left from when it is seen.
        """
        for worker in self.driver.workers():
            if IN_A_BLOCK in " ".join(_command_of(worker)):
                time.sleep(after_s)
                kill(worker)
                return True
        return False


def _command_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


STARTS_S = 300.0
IN_A_BLOCK = ").submit"
"""In the title that Ray gives a worker, while it has something to do."""
DIED = re.compile(
    r"\[.*\] WARNING: a worker on [\d.]+ died: it ended without a word, as what the system kills for want of memory "
    r"does; it is started again"
)


def test_a_worker_that_is_killed_in_the_middle_is_named_and_the_job_goes_on_to_the_same_output(
    tiny_model: str, tmp_path: Path, drivers: list[Driver]
) -> None:
    command = [sys.executable, "-m", "crossrank", "rerank", "--model", tiny_model]
    for name, value in Inputs.made(num_queries=600, depth=40).write(str(tmp_path)).items():
        command += [f"--{name}", value]
    disturbed, undisturbed = tmp_path / "disturbed", tmp_path / "undisturbed"
    terminal = Terminal([*command, "--output", str(disturbed)], tmp_path, drivers)
    wait_for(lambda: any(disturbed.glob("part-*.parquet")), STARTS_S, lambda: terminal.driver.said)
    wait_for(terminal.kill_one, STARTS_S, lambda: terminal.driver.said)
    status, lines = terminal.ended()
    assert status == 0, lines
    assert len([line for line in lines if DIED.fullmatch(line)]) == 1, "named once, with its reason"
    assert all(line.startswith("[") for line in lines), "and nothing of Ray's"
    status, lines = Terminal([*command, "--output", str(undisturbed)], tmp_path, drivers).ended()
    assert status == 0, lines
    assert not any(map(DIED.fullmatch, lines))
    assert read_output(str(disturbed)).equals(read_output(str(undisturbed)))


def test_a_block_that_every_worker_dies_with_ends_in_one_whole_sentence(
    tiny_model: str, tmp_path: Path, drivers: list[Driver]
) -> None:
    command = [sys.executable, "-m", "crossrank", "rerank", "--model", tiny_model, "--output", str(tmp_path / "out")]
    for name, value in Inputs.made(num_queries=1, depth=8).write(str(tmp_path)).items():
        command += [f"--{name}", value]
    terminal = Terminal(command, tmp_path, drivers)
    while terminal.driver.running:
        terminal.kill_one(after_s=0.5)  # it has begun the block by then, and still loads the model
        time.sleep(0.02)
    status, lines = terminal.ended()
    assert status == 1, lines
    *log, sentence = lines
    assert sentence == (
        f"crossrank: block 0 was given up after {AFTER_DEATH + 1} workers had died with it, perhaps for want of "
        f"memory; finished blocks are kept, so mend the cause and run the same command again"
    )
    assert len([line for line in log if DIED.fullmatch(line)]) >= AFTER_DEATH + 1, "each is named"
    assert all(line.startswith("[") for line in log), "and nothing of Ray's"
