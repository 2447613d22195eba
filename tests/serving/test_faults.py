"""The model fails while it is asked without pause: who gets no scores is told so, and afterwards all is as before."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from crossrank import Reranker
from tests.serving.asking import Asking
from tests.serving.faulty import fault_file
from tests.serving.head import DEPLOYS_S, Head, write
from tests.serving.server import free_port

BODY: Any = {
    "query": "how long does it take to charge?",
    "texts": ["Charging takes 4.5 hours.", "충전은 약 4시간 30분 걸립니다.", "The warranty is one year."],
    "raw_scores": True,
    "timeout_ms": 1_000,
}
FAILS_S = 2.0
BURST = 2_500
LEAST_INSIDE = 2_000
"""Of them in the queue: the first few are with the model."""
HEARD_S = 5.0
"""A second for the request, and what two busy cores need to say so."""


class Faulted:
    """A server whose model can be made to fail."""

    def __init__(self, head: Head, model: str, folder: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._file = fault_file(model)
        self.right = dict(enumerate(scores_of_the_library(model)))
        file = write(
            folder / "faulty.yaml", "rerank.yaml", {"port": port}, "tests.serving.faulty:build", model=model, threads=1
        )
        head.deploy(file)
        head.wait_for("RUNNING")

    def tell(self, fault: str) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(fault)
        part.rename(self._file)

    def well(self) -> None:
        self._file.unlink(missing_ok=True)

    def counted(self, name: str) -> float:
        lines = requests.get(f"{self.address}/metrics", timeout=60).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def asking(self) -> Asking:
        return Asking(f"{self.address}/rerank", BODY, num_clients=4)

    def check(self, asking: Asking, replaced: float = 0.0) -> None:
        """No score is wrong, and nobody waits much longer than asked.

        Args:
            replaced: when another replica had taken the place of one that was ended. Who came in between, with nobody
                there, is heard when it has started, which takes what loading a model takes.
        """
        assert all(
            reply.scores == pytest.approx(self.right, abs=1e-5) for reply in asking.replies if reply.outcome == "200"
        )
        for reply in asking.replies:
            heard_by_the_newcomer = reply.outcome == "200" and reply.sent < replaced
            waited = reply.sent + reply.seconds - replaced if heard_by_the_newcomer else reply.seconds
            assert waited < HEARD_S, reply


def scores_of_the_library(model: str) -> list[float]:
    logits: list[float] = (
        Reranker.load(model, device="cpu").score([(BODY["query"], text) for text in BODY["texts"]]).tolist()
    )
    return logits


@pytest.fixture(scope="module")
def faulted(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulted]:
    folder = tmp_path_factory.mktemp("faulty")
    head = Head(folder / "head.log")
    try:
        head.wait_until_ready()
        yield Faulted(head, model, folder)
    finally:
        head.kill()


@pytest.mark.parametrize(("fault", "words"), [("raise", "failed on this request"), ("nan", "not a number")])
def test_a_model_that_fails_for_a_while_is_told_and_the_server_goes_on(
    faulted: Faulted, fault: str, words: str
) -> None:
    with faulted.asking() as asking:
        asking.wait_for(20)
        faulted.tell(fault)
        time.sleep(FAILS_S)
        faulted.well()
        well = time.monotonic()
        asking.wait_for(20)
    faulted.check(asking)
    assert set(asking.outcomes) == {"200", "424"}, asking.outcomes
    assert all(words in reply.text for reply in asking.refusals)
    # What was with the model at that moment may still fail.
    assert all(reply.outcome == "200" for reply in asking.since(well + 0.5))


def test_batches_that_do_not_fit_into_memory_are_halved_and_nobody_notices(faulted: Faulted) -> None:
    with faulted.asking() as asking:
        asking.wait_for(20)
        faulted.tell("memory")
        time.sleep(FAILS_S)
        faulted.well()
        asking.wait_for(20)
    faulted.check(asking)
    assert set(asking.outcomes) == {"200"}, asking.outcomes
    assert faulted.counted("rr_oom_retries_total") > 0


@pytest.mark.parametrize("seconds", ["1", "3"])
@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/rerank", {"query": "q", "texts": ["a"]}, {"error", "error_type"}),
        ("/v2/rerank", {"query": "q", "documents": ["a"]}, {"id", "message", "detail", "error", "error_type"}),
    ],
    ids=["TEI", "Cohere"],
)
def test_a_deadline_in_the_header_ends_with_504_in_the_dialect_of_the_request(
    faulted: Faulted, path: str, body: Any, told: set[str], seconds: str
) -> None:
    headers = {"x-request-timeout-seconds": seconds}

    def ask(_: int) -> requests.Response:
        return requests.post(faulted.address + path, json=body, headers=headers, timeout=30)

    faulted.tell("pause")
    try:
        with ThreadPoolExecutor(4) as clients:
            answers = list(clients.map(ask, range(4)))
    finally:
        faulted.well()
    for answer in answers:
        assert (answer.status_code, answer.headers["content-type"]) == (504, "application/json"), answer.text
        assert set(answer.json()) == told
        assert answer.json()["error_type"] == "Timeout"
    assert requests.post(faulted.address + path, json=body, timeout=30).status_code == 200


def test_a_burst_of_tiny_requests_waits_in_the_queue_where_admission_sees_it(faulted: Faulted) -> None:
    """Beyond a number of requests Ray Serve would keep them waiting outside, or refuse them itself, in plain text."""
    body = {"query": "q", "texts": ["a"], "timeout_ms": 60_000}
    seen: Counter[tuple[int, str]] = Counter()

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.post(f"{faulted.address}/rerank", json=body) as answer:
            await answer.read()
            seen[answer.status, answer.content_type] += 1

    async def burst() -> int:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(60)) as session:
            asking = asyncio.gather(*(ask(session) for _ in range(BURST)))
            until = time.monotonic() + DEPLOYS_S
            while (inside := await asyncio.to_thread(faulted.counted, "te_queue_size")) < LEAST_INSIDE:
                assert time.monotonic() < until, (inside, seen)
                await asyncio.sleep(0.1)
            faulted.well()
            await asking
            return int(inside)

    faulted.tell("pause")
    try:
        inside = asyncio.run(burst())
    finally:
        faulted.well()
    print(f"{inside} waited at once; {seen}")
    assert seen == {(200, "application/json"): BURST}


def test_a_model_that_hangs_is_replaced(faulted: Faulted) -> None:
    with faulted.asking() as asking:
        asking.wait_for(20)
        faulted.tell("hang")
        while not asking.outcomes["504"]:
            time.sleep(0.05)
        faulted.well()  # for the one that takes its place; this one hangs for an hour
        hung = time.monotonic()
        while asking.replies[-1].outcome != "200":
            assert time.monotonic() < hung + DEPLOYS_S, asking.outcomes
            time.sleep(0.1)
        back = time.monotonic()
        asking.wait_for(50)
    print(f"back after {back - hung:.0f} s: {asking.outcomes}")
    faulted.check(asking, replaced=back)
    assert set(asking.outcomes) <= {"200", "504", "429", "503", "closed", "500"}, asking.outcomes
    assert all(reply.outcome == "200" for reply in asking.since(back + 1.0))
