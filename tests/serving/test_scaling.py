"""Replicas come and go with the work that waits, and no request fails meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.serving.asking import Asking
from tests.serving.head import Head, write
from tests.serving.server import free_port

THIRD_ANSWERS_S = 30.0
"""From the step in load to the first answer of the third replica."""
SCALE_DOWN_AFTER_S = 3.0
LEAVES_S = 20.0
"""What Ray Serve needs beyond that delay: it decides on the mean of the last 5 s, and drains what it stops."""
SCALES_S = 90.0

ONE = {"query": "how long?", "texts": ["word"]}
STEP: Any = {"query": "how long?", "texts": [f"{n} " + "word " * 50 for n in range(20)], "timeout_ms": 60_000}
NUM_CLIENTS = 30
"""Of 20 documents with 50 words each: 30,000 tokens, 3 s of work for one replica of slow.py."""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    head = Head(tmp_path_factory.mktemp("head") / "head.log")
    try:
        head.wait_until_ready()
        yield head
    finally:
        head.kill()


class Counted:
    """The number of replicas over time, while it is open."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count)
        self.counts: list[tuple[float, int]] = []
        """Moments, and how many processes there were from then on."""

    def __enter__(self) -> Counted:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_for(self, num: int) -> float:
        """The moment at which there are so many."""
        return self._wait(lambda: bool(self.counts) and self.counts[-1][1] == num, f"{num} replicas")

    def wait_for_answers_of(self, num: int) -> float:
        """The moment by which so many replicas have answered a request."""
        return self._wait(lambda: sum(map(bool, self._head.answers_by_replica())) >= num, f"answers of {num} replicas")

    def _wait(self, seen: Callable[[], bool], what: str) -> float:
        until = time.monotonic() + SCALES_S
        while not seen():
            assert time.monotonic() < until, f"no {what} within {SCALES_S:g} s; over time: {self.counts}"
            time.sleep(0.1)
        return time.monotonic()

    def _count(self) -> None:
        while not self._stop.wait(0.1):
            num = self._head.num_replicas()
            if not self.counts or self.counts[-1][1] != num:
                self.counts.append((time.monotonic(), num))


def test_replicas_go_from_none_to_one_to_three_and_back(head: Head, model: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/rerank"
    args = {"model": model, "gpus_per_replica": 0, "min_replicas": 0, "max_replicas": 3, "max_queue_s": 60.0}
    args["scale_down_after_s"] = SCALE_DOWN_AFTER_S
    file = write(tmp_path / "autoscaled.yaml", "autoscaled.yaml", {"port": port}, "tests.serving.slow:build", **args)
    head.deploy(file)
    head.wait_for("RUNNING")
    head.wait_until_no_replica_is_there()  # one that still starts on a slow machine has no process yet
    with Counted(head) as counted:
        counted.wait_for(0)
        asleep = time.monotonic()
        woken = requests.post(url, json=ONE, timeout=60)
        step = time.monotonic()
        with Asking(url, STEP, num_clients=NUM_CLIENTS, pause_s=0.0) as asking:
            third = counted.wait_for_answers_of(3)
        end = time.monotonic()
        with Asking(url, ONE, num_clients=1, pause_s=0.0) as resting:  # with somebody there, one stays
            one = counted.wait_for(1)
            resting.wait_for(20)
    first = sum(moment <= asleep for moment, _ in counted.counts) - 1
    over_time = [(round(moment - step, 1), num) for moment, num in counted.counts[first:]]
    print(f"replicas, by seconds from the step in load: {over_time}")
    print(f"0 to 1: answered after {step - asleep:.1f} s; 1 to 3: the third answered after {third - step:.1f} s")
    print(f"3 to 1: {one - end:.1f} s after the load; {len(asking.replies) + len(resting.replies)} requests")
    assert woken.status_code == 200, woken.text
    assert not asking.refusals
    assert not resting.refusals
    numbers = [num for _, num in over_time]
    top = numbers.index(3)
    assert all(a < b for a, b in pairwise(numbers[: top + 1])), over_time
    assert all(a > b for a, b in pairwise(numbers[top:])), over_time
    assert (numbers[0], numbers[-1]) == (0, 1)
    assert third - step <= THIRD_ANSWERS_S
    assert one - end <= SCALE_DOWN_AFTER_S + LEAVES_S
