"""Requests of a job to a service, in this process: asked once, paced, paid within the budget, kept before the next."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crossrank.errors import BackendRefused, JobFailed
from crossrank.resumable.output import read_json
from crossrank.translation.backend import Outcome
from crossrank.translation.budget import BudgetSpent, Spending, cost_usd
from crossrank.translation.paid_requests import HOPELESS, Patience, Requests
from crossrank.translation.rate_control import Pace
from crossrank.translation.rate_limiter import Gate
from crossrank.translation.service import FailureKind, ServiceAnswer

QUICK = Patience(give_up_s=0.2, first_pause_s=0.001)


class Service:
    """Answers by a rule, and counts."""

    def __init__(self, rule: Callable[[str, int], ServiceAnswer] = lambda text, tries: translated(text)) -> None:
        self.asked: Counter[str] = Counter()
        self.under_way = self.most_under_way = 0
        self._rule = rule
        self._lock = threading.Lock()

    def ask(self, text: str) -> ServiceAnswer:
        with self._lock:
            self.asked[text] += 1
            tries = self.asked[text]
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        time.sleep(0.001)
        with self._lock:
            self.under_way -= 1
        return self._rule(text, tries)


def translated(text: str) -> ServiceAnswer:
    return ServiceAnswer(FailureKind.TRANSLATED, f"<{text}>")


class Job:
    """Requests with a memory that is a dictionary."""

    def __init__(self, folder: Path, service: Service, budget_usd: float | None = None, usd: float = 1.0) -> None:
        self.kept: dict[str, Outcome] = {}
        self.service = service
        self.spending = Spending(str(folder / "_spent.json"), usd, budget_usd)
        self.gate = Gate(Pace(most_requests=5000.0))
        self.requests = Requests(service.ask, self.gate, self.spending, self._keep, QUICK)

    def _keep(self, text: str, outcome: Outcome) -> None:
        assert text not in self.kept, "kept twice"
        self.kept[text] = outcome

    def run(self, texts: list[str], slots: int = 4) -> None:
        self.requests.run(iter(texts), slots)


TEXTS = [f"text {number:02}" for number in range(40)]
"""7 characters each, 280 together."""


def test_each_text_is_asked_for_once_and_kept(tmp_path: Path) -> None:
    job = Job(tmp_path, Service())
    job.run(TEXTS)
    assert job.kept == {text: Outcome(f"<{text}>") for text in TEXTS}
    assert job.service.asked == dict.fromkeys(TEXTS, 1)
    assert job.spending.characters == 280


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_requests_are_unkept_than_there_are_slots(tmp_path: Path, slots: int) -> None:
    # Keeping is slow: a slot that was free before would show here as more texts asked for than kept.
    service = Service()
    job = Job(tmp_path, service)
    most = 0

    def keep(text: str, outcome: Outcome) -> None:
        nonlocal most
        most = max(most, len(service.asked) - len(job.kept))
        time.sleep(0.003)
        job.kept[text] = outcome

    job.requests = Requests(service.ask, job.gate, job.spending, keep, QUICK)
    job.run(TEXTS, slots)
    assert most <= slots
    assert service.most_under_way <= slots


def test_what_was_too_fast_is_asked_again_for_as_long_as_it_takes(tmp_path: Path) -> None:
    # Throttling must never make a text fail, however patient the job is otherwise.
    service = Service(
        lambda text, tries: ServiceAnswer(FailureKind.THROTTLED, "slow down") if tries < 8 else translated(text)
    )
    job = Job(tmp_path, service)
    job.requests = Requests(service.ask, job.gate, job.spending, job._keep, Patience(0.0001, 0.0005))
    job.run(TEXTS[:6])
    assert len(job.kept) == 6
    assert job.gate.refusals == 42
    assert job.spending.characters == 42, "a refused request is not charged"


def test_failures_of_the_service_are_asked_again_and_not_charged(tmp_path: Path) -> None:
    job = Job(
        tmp_path,
        Service(lambda text, tries: ServiceAnswer(FailureKind.BUSY, "500") if tries == 1 else translated(text)),
    )
    job.run(TEXTS[:10])
    assert all(outcome.text is not None for outcome in job.kept.values())
    assert job.spending.characters == 70


def test_a_request_without_an_answer_may_have_been_charged_so_it_is_counted(tmp_path: Path) -> None:
    job = Job(
        tmp_path,
        Service(lambda text, tries: ServiceAnswer(FailureKind.UNANSWERED, "reset") if tries == 1 else translated(text)),
    )
    job.run(TEXTS[:10])
    assert len(job.kept) == 10
    assert job.spending.characters == 140


def test_a_text_that_cannot_be_translated_is_asked_for_once_and_kept_as_that(tmp_path: Path) -> None:
    def rule(text: str, tries: int) -> ServiceAnswer:
        return ServiceAnswer(FailureKind.FAILED, "invalid") if text == TEXTS[3] else translated(text)

    job = Job(tmp_path, Service(rule))
    job.run(TEXTS)
    assert job.kept[TEXTS[3]] == Outcome(None, "invalid")
    assert job.service.asked[TEXTS[3]] == 1
    assert (job.requests.translated, job.requests.failed) == (39, 1)
    assert job.spending.characters == 273


def test_a_text_that_alone_breaks_the_service_fails_and_the_others_go_on(tmp_path: Path) -> None:
    def rule(text: str, tries: int) -> ServiceAnswer:
        if text != TEXTS[0]:
            return translated(text)
        while tries > 1 and len(job.kept) < 39:  # others are translated while it fails, on a busy machine too
            time.sleep(0.001)
        return ServiceAnswer(FailureKind.BUSY, "500: internal error")

    def texts() -> Iterator[str]:
        yield from TEXTS[:-1]
        while service.asked[TEXTS[0]] < 2:
            time.sleep(0.001)
        yield TEXTS[-1]

    service = Service(rule)
    job = Job(tmp_path, service)
    job.requests.run(texts(), 2)
    assert job.kept[TEXTS[0]] == Outcome(None, "tried for 0.2 s: 500: internal error")
    assert len(job.kept) == 40


def test_a_first_text_that_breaks_the_service_is_given_back_and_ends_nothing(tmp_path: Path) -> None:
    # It is tried before all others; if that ended the job, no run would ever come to the second text.
    job = Job(tmp_path, Service(lambda text, tries: ServiceAnswer(FailureKind.BUSY, "500")))
    given_up = job.requests.one(TEXTS[0])
    assert given_up is not None
    assert given_up.answer == ServiceAnswer(FailureKind.BUSY, "500")
    assert job.kept == {}


def test_a_service_that_is_down_ends_the_job_and_fails_no_text(tmp_path: Path) -> None:
    job = Job(tmp_path, Service(lambda text, tries: ServiceAnswer(FailureKind.BUSY, "503: unavailable")))
    with pytest.raises(
        JobFailed, match=r"no text was translated for 0.2 s \(503: unavailable\); what is translated is"
    ):
        job.run(TEXTS)
    assert job.kept == {}


def test_what_nobody_may_ends_the_job_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path, Service(lambda text, tries: ServiceAnswer(FailureKind.REFUSED, "these credentials may not")))
    with pytest.raises(BackendRefused, match=r"^these credentials may not$"):
        job.run(TEXTS)
    assert job.service.asked.total() <= 4
    assert job.spending.characters == 0


def test_credentials_that_expire_on_the_way_are_a_failure_with_the_way_out(tmp_path: Path) -> None:
    def rule(text: str, tries: int) -> ServiceAnswer:
        return ServiceAnswer(FailureKind.REFUSED, "expired") if text == TEXTS[20] else translated(text)

    job = Job(tmp_path, Service(rule))
    with pytest.raises(JobFailed, match="expired; what is translated is kept: mend it and run the same command again"):
        job.run(TEXTS)
    assert set(TEXTS[:17]) <= job.kept.keys()


def test_a_setting_that_spoils_every_text_does_not_spoil_the_memory(tmp_path: Path) -> None:
    job = Job(tmp_path, Service(lambda text, tries: ServiceAnswer(FailureKind.FAILED, "InvalidRequestException")))
    with pytest.raises(JobFailed, match=f"the first {HOPELESS} texts all failed"):
        job.run(TEXTS, slots=1)
    assert len(job.kept) == HOPELESS


def test_the_budget_stops_before_the_first_request_that_would_exceed_it(tmp_path: Path) -> None:
    # 100 characters at a dollar a character; each text has 7: 14 texts are 98.
    job = Job(tmp_path, Service(), budget_usd=100.0, usd=1_000_000.0)
    with pytest.raises(BudgetSpent):
        job.run(TEXTS)
    assert len(job.kept) == job.service.asked.total() == 14
    assert job.spending.characters == 98


def test_a_larger_budget_goes_on_from_what_was_spent(tmp_path: Path) -> None:
    job = Job(tmp_path, Service(), budget_usd=100.0, usd=1_000_000.0)
    with pytest.raises(BudgetSpent):
        job.run(TEXTS)
    job.spending.close()
    again = Job(tmp_path, Service(), budget_usd=150.0, usd=1_000_000.0)
    with pytest.raises(BudgetSpent):
        again.run([text for text in TEXTS if text not in job.kept])
    assert len(again.kept) == 7  # 98 + 49 = 147


def test_a_kill_makes_no_budget_larger(tmp_path: Path) -> None:
    # Nothing is closed: the file says what may have been spent, at most a two hundredth of the budget too much.
    spending = Spending(str(tmp_path / "s.json"), 1_000_000.0, 1000.0)
    for _ in range(30):
        spending.pay(7)
    after = Spending(str(tmp_path / "s.json"), 1_000_000.0, 1000.0)
    assert 210 <= after.characters <= 215
    with pytest.raises(BudgetSpent):
        after.pay(1000 - 209)


def test_what_was_spent_is_exact_when_a_job_ends(tmp_path: Path) -> None:
    spending = Spending(str(tmp_path / "s.json"), 15.0, None)
    spending.pay(1000)
    spending.take_back(300)
    spending.close()
    assert read_json(str(tmp_path / "s.json")) == {"characters": 700, "usd": 0.0105}
    assert cost_usd(1_000_000, 15.0) == 15.0
