"""Overload: twice the capacity for two minutes, then four fifths of it. What is answered, when, and what it costs.

    python benchmarks/serve_overload.py                      # one replica: 5 minutes on 2 cores
    python benchmarks/serve_overload.py --replicas 3 --seconds 60

Requests come at random moments and wait for nobody (`serve/load.py`). Their sizes are skewed: each kind is about a
third of the work. The capacity is the largest goodput, in pairs a second, while more and more is asked, until half of
it is refused.

Four fifths of it begin at the moment at which the overload ends, on top of all that it left behind. From 5 s after that
moment are told: the pairs answered in time a second, whoever asked for them, and what became of those asked for then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from machine import WORK, machine
from models import minilm
from servers import crossrank_server

from crossrank.telemetry.progress import say

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # serve/ is never installed
from serve.load import LoadSettings, kind, sent, summary  # noqa: E402

SIZES = "5:0.9,50:0.08,200:0.02"
FIRST_ASKED = 200.0
"""Pairs a second."""
CAPACITY_S = 30.0
AT_REST = 0.8
"""Of the capacity, what is asked after the overload."""
BACK_S = 5.0
"""Seconds after the overload that the server has to be at full speed again."""
AFTER_S = 20.0
LOAD = ROOT / "serve" / "load.py"


class Memory:
    """The largest resident set of the replicas, sampled."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self.peak_mib = 0.0

    @contextmanager
    def watched(self) -> Iterator[Memory]:
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        yield self
        self._stopped.set()
        thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(0.5):
            self.peak_mib = max(self.peak_mib, resident_mib())


def replicas() -> list[psutil.Process]:
    """Processes of replicas below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::ServeReplica"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def resident_mib() -> float:
    """Resident memory of all replicas, in MiB."""
    total = 0
    for process in replicas():
        try:
            total += process.memory_info().rss
        except psutil.Error:
            continue
    return total / 2**20


def load(url: str, given: argparse.Namespace, pairs_rate: float, seconds: float, seed: int) -> dict[str, Any]:
    """What `serve/load.py` says of one load."""
    flags = {"url": url, "pairs-rate": pairs_rate, "seconds": seconds, "documents": SIZES, "seed": seed}
    flags |= {"timeout-ms": given.timeout_ms}
    command = [
        sys.executable,
        str(LOAD),
        *(part for name, value in flags.items() for part in (f"--{name}", str(value))),
    ]
    told: dict[str, Any] = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    return told


def find_capacity(url: str, given: argparse.Namespace) -> float:
    """The largest goodput, in pairs a second."""
    asked, best = FIRST_ASKED, 0.0
    while True:
        say(f"asking for {asked:g} pairs/s")
        goodput: float = load(url, given, asked, CAPACITY_S, seed=1)["goodput"]["pairs_per_second"]
        best = max(best, goodput)
        if goodput < asked / 2:
            return best
        asked *= 2


def overload(url: str, given: argparse.Namespace, capacity: float) -> dict[str, Any]:
    """What became of the overload, and of what was asked for from `BACK_S` after it."""

    def asked(rate: float, seconds: float, seed: int) -> LoadSettings:
        return LoadSettings(
            url=url, pairs_rate=rate, seconds=seconds, documents=SIZES, timeout_ms=given.timeout_ms, seed=seed
        )

    over = asked(given.times * capacity, given.seconds, seed=2)
    rest = asked(AT_REST * capacity, BACK_S + AFTER_S, seed=3)
    shots = over.shots() + [replace(shot, due_s=given.seconds + shot.due_s) for shot in rest.shots()]
    outcomes = asyncio.run(sent(over, shots))
    back_s = given.seconds + BACK_S
    later = [replace(outcome, due_s=outcome.due_s - back_s) for outcome in outcomes if outcome.due_s >= back_s]
    good = [outcome for outcome in outcomes if kind(outcome, over.timeout_s) == "ok"]
    answered = sum(each.pairs for each in good if back_s <= each.due_s + each.latency_s < back_s + AFTER_S)
    return {
        "overload": summary([each for each in outcomes if each.due_s < given.seconds], given.seconds, over.timeout_s),
        "after": summary(later, AFTER_S, over.timeout_s),
        "answered_after_pairs_per_second": round(answered / AFTER_S, 1),
        "answered_in_time_of_asked_after": round(
            sum(each.pairs for each in later if kind(each, over.timeout_s) == "ok") / sum(each.pairs for each in later),
            3,
        ),
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    with crossrank_server(minilm(WORK), replicas=given.replicas) as url:
        capacity = find_capacity(url, given)
        before = resident_mib()
        say(f"capacity {capacity} pairs/s; {given.times:g} times as much for {given.seconds:g} s")
        with Memory().watched() as memory:
            told = overload(url, given, capacity)
    return {
        "replicas": given.replicas,
        "capacity_pairs_per_second": capacity,
        **told,
        "goodput_of_capacity": round(told["overload"]["goodput"]["pairs_per_second"] / capacity, 3),
        "answered_after_of_capacity": round(told["answered_after_pairs_per_second"] / capacity, 3),
        "resident_mib_before": round(before),
        "resident_mib_peak": round(memory.peak_mib),
    }


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--times", type=float, default=2.0, help="of the capacity")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--timeout-ms", type=float, default=10_000.0)
    told = machine() | measure(parser.parse_args(arguments))
    for key, value in told.items():
        print(f"{key:34} {value}")
    print(json.dumps({"benchmark": "serve_overload", **told}))


if __name__ == "__main__":
    main(sys.argv[1:])
