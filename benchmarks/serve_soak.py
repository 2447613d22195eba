"""A soak: steady load for twenty minutes, and all that happens to a server beside it. Nothing may grow, hang or lie.

    python benchmarks/serve_soak.py                        # 20 minutes, 2 replicas
    python benchmarks/serve_soak.py --seconds 300

A load at half of the capacity goes on throughout (`serve/load.py`). Beside it one client asks the same question again
and again and compares the scores with the library's. In turn come clients that go away, bodies that are no requests,
and a burst of three times the capacity. Memory is that of the replicas in this time. In the last fifth, a replica is
killed every 30 s.

What has to hold is `criteria`; the exit status is 1 where something does not. An event that fails is one of them: it is
told with its traceback, and the next one comes in its turn.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import requests
from machine import WORK, machine
from models import minilm
from serve_overload import AT_REST, find_capacity, replicas, resident_mib
from serve_overload import load as load_and_wait
from servers import crossrank_server

from crossrank import Reranker
from crossrank.telemetry.progress import say

REPLICAS = 2
EVENT_S = 15.0
KILL_S = 30.0
KILLS_FROM = 0.8
"""Of the time: before, memory is measured, and a replica that starts anew would hide what grows."""
WARM_S = 120.0
"""Allocators and caches fill up; what comes later is growth."""
MOST_GROWTH = 0.05
"""Of the memory, from the first quarter of that time to the last one."""
LEAST_AFTER = 0.95
"""Of the pairs that are asked for when all is over, those that are answered in time."""
TOLERANCE = 1e-5
QUERY = "how long does it take to charge?"
DOCUMENTS = ["Charging takes 4.5 hours.", "충전은 약 4시간 30분 걸립니다.", "The warranty is one year.", "word " * 300]
LONG = [f"{n} " + "a long text that takes its time " * 60 for n in range(200)]
BAD = (b"", b"{", b"[]", b'{"query": 1}', b'{"query": "\\ud800", "texts": ["a"]}', b"\xff" * 10_000)


class Asker:
    """One client that knows the right scores."""

    def __init__(self, url: str, logits: Sequence[float]) -> None:
        self._url = url
        self._logits = logits
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0

    def run(self, stopped: threading.Event) -> None:
        body = {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}
        while not stopped.wait(0.2):
            began = time.monotonic()
            self.outcomes[self._outcome(body)] += 1
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def _outcome(self, body: Any) -> str:
        try:
            answer = requests.post(self._url + "/rerank", json=body, timeout=60)
        except requests.Timeout:
            return "hung"
        except requests.ConnectionError:
            return "closed"
        if answer.status_code != 200:
            return str(answer.status_code)
        scores = [found["score"] for found in sorted(answer.json(), key=lambda found: found["index"])]
        return "right" if np.abs(np.array(scores) - self._logits).max() <= TOLERANCE else "wrong"


class Events:
    """What happens beside the load, one thing after the other."""

    def __init__(self, url: str, given: argparse.Namespace, capacity: float) -> None:
        self._url = url
        self._given = given
        self._capacity = capacity
        self._rng = random.Random(1)
        self.happened: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        """Events that raised, by what they raised; none is to."""

    def run(self, stopped: threading.Event, began: float) -> None:
        turns: list[Callable[[], None]] = [self._go_away, self._talk_nonsense, self._burst]
        for turn in itertools.cycle(turns):
            is_late = time.monotonic() - began > KILLS_FROM * self._given.seconds
            if stopped.wait(KILL_S if is_late else EVENT_S):
                return
            try:
                (self._kill if is_late else turn)()
            except Exception as error:
                traceback.print_exc()
                self.failed[type(error).__name__] += 1

    def _go_away(self) -> None:
        for _ in range(20):
            try:
                requests.post(self._url + "/rerank", json={"query": QUERY, "texts": LONG}, timeout=(5, 0.1))
            except (requests.Timeout, requests.ConnectionError):
                self.happened["went away"] += 1

    def _talk_nonsense(self) -> None:
        for body in BAD * 5:
            status = requests.post(self._url + "/rerank", data=body, timeout=60).status_code
            self.happened[f"nonsense {status}"] += 1

    def _burst(self) -> None:
        load_and_wait(self._url, self._given, 3 * self._capacity, 5.0, seed=self._rng.randrange(10**6))
        self.happened["burst"] += 1

    def _kill(self) -> None:
        there = replicas()
        if not there:
            raise RuntimeError(f"no replica is there {KILL_S:g} s after the last one was killed")
        self._rng.choice(there).kill()
        self.happened["killed"] += 1


class Side(threading.Thread):
    """A thread whose end by an exception is told, instead of a soak without what it was to do."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__()
        self._act = act
        self.failed = False

    def run(self) -> None:
        try:
            self._act()
        except Exception:
            traceback.print_exc()
            self.failed = True


def measure(given: argparse.Namespace) -> dict[str, Any]:
    model = minilm(WORK)
    logits = Reranker.load(str(model), device="cpu").score([(QUERY, text) for text in DOCUMENTS]).tolist()
    with crossrank_server(model, replicas=REPLICAS) as url:
        capacity = find_capacity(url, given)
        say(f"capacity {capacity} pairs/s; half of it for {given.seconds:g} s")
        asker, events, stopped = Asker(url, logits), Events(url, given, capacity), threading.Event()
        began = time.monotonic()
        loads: list[dict[str, Any]] = []
        threads = [
            Side(lambda: asker.run(stopped)),
            Side(lambda: events.run(stopped, began)),
            Side(lambda: loads.append(steady(url, given, capacity))),
        ]
        for thread in threads:
            thread.start()
        samples = watched(threads[-1], began, KILLS_FROM * given.seconds)
        stopped.set()
        for thread in threads:
            thread.join()
        ended = load_and_wait(url, given, AT_REST * capacity, 20.0, seed=3)
    if any(thread.failed for thread in threads):
        sys.exit("a thread of the soak itself ended early; see above")
    warm = [mib for second, mib in samples if second > WARM_S] or [mib for _, mib in samples]
    quarter = max(1, len(warm) // 4)
    first, last = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    told = {
        "replicas": REPLICAS,
        "capacity_pairs_per_second": capacity,
        "load": loads[0],
        "scores_compared": dict(asker.outcomes),
        "slowest_of_them_s": round(asker.slowest_s, 2),
        "happened": dict(events.happened),
        "events_that_failed": dict(events.failed),
        "resident_mib_first_quarter": round(first),
        "resident_mib_last_quarter": round(last),
        "resident_grew_by": round(last / first - 1.0, 4),
        "resident_mib_by_minute": [round(mib) for second, mib in samples[:: round(60 / 5)]],
        "goodput_of_asked_after": round(ended["goodput"]["pairs_per_second"] / ended["asked"]["pairs_per_second"], 3),
    }
    return told | {"criteria": criteria(told)}


def criteria(told: dict[str, Any]) -> dict[str, bool]:
    """What has to hold, and whether it does."""
    compared, happened = told["scores_compared"], told["happened"]
    nonsense = [name for name in happened if name.startswith("nonsense")]
    return {
        "some scores compared, none wrong": compared.get("right", 0) > 0 and not compared.get("wrong"),
        "nothing hung": not compared.get("hung") and not told["load"]["kinds"].get("timeout"),
        "no event failed": not told["events_that_failed"],
        "nonsense got 4xx": bool(nonsense) and all(name.startswith("nonsense 4") for name in nonsense),
        f"memory grew by {MOST_GROWTH:.0%} at most": told["resident_grew_by"] <= MOST_GROWTH,
        f"afterwards {LEAST_AFTER:.0%} answered in time": told["goodput_of_asked_after"] >= LEAST_AFTER,
    }


def steady(url: str, given: argparse.Namespace, capacity: float) -> dict[str, Any]:
    """Half of the capacity, for the whole time."""
    return load_and_wait(url, given, capacity / 2, given.seconds, seed=2)


def watched(loading: threading.Thread, began: float, seconds: float) -> list[tuple[float, float]]:
    """Second and MiB of all replicas, every 5 s while there is load; those of the first `seconds` are given back."""
    samples: list[tuple[float, float]] = []
    while loading.is_alive():
        samples.append((time.monotonic() - began, resident_mib()))
        loading.join(5.0)
    return [sample for sample in samples if sample[0] < seconds]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--timeout-ms", type=float, default=10_000.0)
    told: dict[str, Any] = machine() | measure(parser.parse_args(arguments))
    for key, value in told.items():
        print(f"{key:28} {value}")
    print(json.dumps({"benchmark": "serve_soak", **told}))
    failed = [name for name, holds in told["criteria"].items() if not holds]
    sys.exit(f"does not hold: {'; '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
