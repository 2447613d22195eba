"""The driver of a job as a process of its own, to be killed. As a program: runs one job with a stand-in, or a training.

python -m tests.ray.driver '{"settings": {...}, "spec": {"log": ..., "pair_s": ...}}'
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


class Driver:
    """A process, its children, and what it said. Only these are ever killed."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self._log = log
        with open(log, "wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, env=env)
        self._root = psutil.Process(self._process.pid)

    @classmethod
    def of_job(cls, settings: dict[str, Any], spec: dict[str, Any], log: Path) -> Driver:
        job = json.dumps({"settings": settings, "spec": spec})
        return cls([sys.executable, "-m", "tests.ray.driver", job], log)

    @classmethod
    def of_training(cls, settings: dict[str, Any], log: Path) -> Driver:
        return cls([sys.executable, "-m", "tests.ray.driver", json.dumps({"training": settings})], log)

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def family(self) -> list[psutil.Process]:
        """The process and all below it."""
        return [self._root, *self.children()]

    def children(self) -> list[psutil.Process]:
        try:
            return self._root.children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def ever_below(self) -> set[str]:
        """Names of all the processes that it has below it until it ends."""
        names: set[str] = set()
        while self.running:
            for process in self.children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    names.add(process.name())
            time.sleep(0.01)
        return names

    def workers(self) -> list[psutil.Process]:
        return workers_below(self.children())

    def kill(self) -> None:
        """SIGKILL for the driver and all its children."""
        family = self.family()
        for process in family:
            kill(process)
        # Children of the raylet that were born meanwhile die with it; nobody may outlive this call.
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive, alive
        self._process.wait()

    def kill_worker(self) -> bool:
        """SIGKILL for one actor, if there is one."""
        workers = self.workers()
        for process in workers[:1]:
            kill(process)
        return bool(workers)

    def is_starting_a_worker(self) -> bool:
        return any(map(_is_starting_worker, self.children()))

    def kill_alone(self) -> None:
        """SIGKILL for the driver, and for none of its children: what works for it has to go by itself.

        Three kinds, none of which does work of the job, stay for a minute more and are killed here: Ray's two agents,
        and a worker that was just starting, which goes on looking for the raylet that has died.
        """
        children = self.children()
        lingering = [process for process in children if _title(process) in AGENTS or _is_starting_worker(process)]
        self._process.kill()
        self._process.wait()
        _, alive = psutil.wait_procs([process for process in children if process not in lingering], timeout=20)
        for process in lingering:
            kill(process)
        assert not alive, [(process, _title(process)) for process in alive]

    def terminate(self) -> None:
        """SIGTERM for the driver alone, as a supervisor or a job server sends it."""
        self._process.terminate()

    def wait(self, timeout_s: float) -> int:
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """Kill what is left, for the end of a test."""
        if self.running:
            self.kill()


def workers_below(family: list[psutil.Process]) -> list[psutil.Process]:
    """The actors that score, which Ray calls MapWorker."""
    return [process for process in family if _title(process).startswith("ray::MapWorker")]


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def _is_starting_worker(process: psutil.Process) -> bool:
    """Whether it is a Ray worker that has not yet given itself a title, and so has had no task either."""
    try:
        return any(part.endswith("/default_worker.py") for part in process.cmdline())
    except psutil.Error:
        return False


def _title(process: psutil.Process) -> str:
    try:
        return process.cmdline()[0]
    except (psutil.NoSuchProcess, psutil.ZombieProcess, IndexError):
        return ""


def wait_for(what: Callable[[], bool], timeout_s: float, say: Callable[[], str]) -> None:
    """Wait until something is so; fails with the text of `say` when it is not so in time."""
    until = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < until, say()
        time.sleep(0.02)


def _main() -> None:
    from crossrank.reranking.job import rerank
    from crossrank.reranking.settings import RerankSettings
    from tests.ray.stand_ins import GatedSpec, LoggedSpec

    job = json.loads(sys.argv[1])
    if "training" in job:
        from crossrank.training.job import train
        from crossrank.training.settings import TrainSettings

        train(TrainSettings(**job["training"]))
        return
    spec = job["spec"]
    rerank(RerankSettings(**job["settings"]), GatedSpec(**spec) if "gate" in spec else LoggedSpec(**spec))


if __name__ == "__main__":
    _main()
