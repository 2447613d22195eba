"""The model fails while it is asked without pause: who gets no scores is told so, and afterwards all is as before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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

    def asking(self) -> Asking:
        return Asking(f"{self.address}/rerank", BODY, num_clients=4)

    def check(self, asking: Asking) -> None:
        """No score is wrong, and nobody waits much longer than asked."""
        assert all(
            reply.scores == pytest.approx(self.right, abs=1e-5) for reply in asking.replies if reply.outcome == "200"
        )
        assert max(reply.seconds for reply in asking.replies) < HEARD_S


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
    metrics = requests.get(f"{faulted.address}/metrics", timeout=10).text
    [retries] = [line for line in metrics.splitlines() if line.startswith("rr_oom_retries_total ")]
    assert float(retries.split()[1]) > 0


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
    faulted.check(asking)
    assert set(asking.outcomes) <= {"200", "504", "429", "503", "closed", "500"}, asking.outcomes
    assert all(reply.outcome == "200" for reply in asking.since(back + 1.0))
