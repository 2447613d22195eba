"""Requests that are under way, on two replicas that are slow and not busy, while clients go away, a replica is killed,
or both are replaced."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from crossrank import Reranker
from tests.serving.asking import Asking, scores_of
from tests.serving.head import Head, write
from tests.serving.server import STARTS_S, free_port

QUERY = "how long does it take to charge?"
SMALL: Any = {"query": QUERY, "texts": ["Charging takes 4.5 hours.", "The warranty is one year."], "raw_scores": True}
NUM_TEXTS = 24
"""Of 50 words, which are 200 tokens in this vocabulary: half a second of work, too little to be split over both."""
LARGE: Any = SMALL | {"texts": [f"{n} " + "word " * 50 for n in range(NUM_TEXTS)], "timeout_ms": 60_000}
LONGEST: Any = LARGE | {"texts": [f"{n} " + "word " * 50 for n in range(40 * NUM_TEXTS)]}
ENDS_S = 1.0
"""What a killed replica had begun ends within this time."""


class Slow:
    """`tests.serving.slow` on a head, with two replicas."""

    def __init__(self, head: Head, model: str, folder: Path) -> None:
        self.head = head
        self._model = model
        self._file = folder / "slow.yaml"
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.url = f"{self.address}/rerank"
        self.deploy("first")
        self._reranker = Reranker.load(model, device="cpu")

    def deploy(self, name: str) -> None:
        """A version of this name, which is the only difference."""
        args: Any = {"model": self._model, "model_name": name, "min_replicas": 2, "max_replicas": 2, "threads": 1}
        args["max_queue_s"] = 60.0
        file = write(self._file, "rerank.yaml", {"port": self._port}, "tests.serving.slow:build", **args)
        self.head.deploy(file)
        self.head.wait_for("RUNNING")

    def right(self, body: Any) -> Any:
        """The scores by the library, to compare with."""
        logits = self._reranker.score([(QUERY, text) for text in body["texts"]]).tolist()
        return pytest.approx(dict(enumerate(logits)), abs=1e-5)

    def counted(self, name: str) -> float:
        lines = requests.get(f"{self.address}/metrics", timeout=10).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    def wait_until_idle(self) -> None:
        until = time.monotonic() + STARTS_S
        while self.counted("rr_queue_tokens"):
            assert time.monotonic() < until, "somebody works on"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def slow(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slow]:
    folder = tmp_path_factory.mktemp("slow")
    head = Head(folder / "head.log")
    try:
        head.wait_until_ready()
        yield Slow(head, model, folder)
    finally:
        head.kill()


def test_clients_that_go_away_do_not_disturb_the_others_and_their_work_is_dropped(slow: Slow) -> None:
    num = 20
    all_of_it = num * int(requests.post(slow.url, json=LARGE, timeout=60).headers["x-compute-tokens"])
    dropped, read = slow.counted('te_request_failure{err="dropped"}'), slow.counted("te_batch_next_tokens_sum")

    def go_away(_: int) -> None:
        with pytest.raises(requests.Timeout):
            requests.post(slow.url, json=LARGE, timeout=(5, 0.2))

    with Asking(slow.url, SMALL, num_clients=4) as asking:
        asking.wait_for(40)
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(go_away, range(num)))
        asking.wait_for(40)
    right = slow.right(SMALL)
    assert set(asking.outcomes) == {"200"}, asking.refusals[:5]
    assert all(reply.scores == right for reply in asking.replies)
    slow.wait_until_idle()
    # One that went before its body was there has nothing to be dropped.
    assert dropped + num / 2 <= slow.counted('te_request_failure{err="dropped"}') <= dropped + num
    spent = slow.counted("te_batch_next_tokens_sum") - read
    print(f"{len(asking.replies)} answers; {spent:.0f} tokens were read, of {all_of_it} nobody waited for, and theirs")
    assert spent < all_of_it / 2


def test_requests_of_a_killed_replica_end_within_a_second_and_all_others_are_answered(slow: Slow) -> None:
    right, right_later = slow.right(LARGE), slow.right(SMALL)
    slow.wait_until_idle()
    with Asking(slow.url, LARGE, num_clients=12, pause_s=3600.0) as begun:  # one request of each
        time.sleep(1.0)
        on_each = slow.head.requests_by_replica()
        victim = slow.head.replicas()[0]
        killed = time.monotonic()
        victim.kill()
        victim.wait()
        with Asking(slow.url, SMALL, num_clients=4) as later:
            later.wait_for(100)
            while slow.head.num_replicas() < 2:
                time.sleep(0.1)
            slow.head.wait_for("RUNNING")
            later.wait_for(100)
    ended = sorted((reply.outcome, round(reply.sent + reply.seconds - killed, 2)) for reply in begun.replies)
    print(f"in flight on each: {on_each}; ended, in seconds after the kill: {ended}")
    print(f"sent later: {later.outcomes}, the slowest {max(reply.seconds for reply in later.replies):.2f} s")
    lost = [(outcome, seconds) for outcome, seconds in ended if outcome != "200"]
    assert len(lost) in on_each
    # HAProxy closes the connection, or says 500 where it was still sending to the replica.
    assert {outcome for outcome, _ in lost} <= {"closed", "500"}
    assert max(seconds for _, seconds in lost) <= ENDS_S
    assert all(reply.scores == right for reply in begun.replies if reply.outcome == "200")
    assert set(later.outcomes) == {"200"}, [(reply.outcome, reply.sent - killed) for reply in later.refusals]
    assert all(reply.scores == right_later for reply in later.replies)


def test_an_update_finishes_what_was_begun(slow: Slow) -> None:
    """Large requests are under way at every moment, and one so large that both old replicas have to go on for it."""
    right, right_longest = slow.right(LARGE), slow.right(LONGEST)
    slow.wait_until_idle()
    with ThreadPoolExecutor(1) as client:
        longest = client.submit(requests.post, slow.url, json=LONGEST, timeout=90)
        with Asking(slow.url, LARGE, num_clients=4, pause_s=0.0) as asking:
            began = time.monotonic()
            slow.deploy("second")
            took_s = time.monotonic() - began
            asking.wait_for(8)
        answer = longest.result()
    print(f"the new version after {took_s:.1f} s; {len(asking.replies)} requests, and one of {answer.elapsed}")
    assert set(asking.outcomes) == {"200"}, asking.refusals[:5]
    assert all(reply.scores == right for reply in asking.replies)
    assert answer.status_code == 200, answer.text
    assert scores_of(answer) == right_longest
