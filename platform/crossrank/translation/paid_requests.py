"""Texts to a paid service: each asked for once, in its turn, within the budget, and kept before the next one goes.

A slot is a thread: it takes a text, waits for its turn, asks, and is free again when the answer is durably kept. So
whatever is killed and whenever, at most as many requests are repeated as there are slots.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from crossrank.errors import BackendRefused, JobFailed
from crossrank.translation.backend import Outcome
from crossrank.translation.budget import BudgetSpent, Spending
from crossrank.translation.rate_limiter import Gate
from crossrank.translation.service import Ask, FailureKind, ServiceAnswer

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 20.0
LONGEST_THROTTLED_PAUSE_S = 5.0
JOIN_S = 0.5
HOPELESS = 20
"""Texts that failed for good, none being translated, after which the job stops: the fault is not in the texts."""

KeepOne = Callable[[str, Outcome], None]
"""Keeps the outcome of a text; returns when it is durable."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Time for which a text is tried."""

    give_up_s: float = 300.0
    """Seconds of failures of the service after which a text is given up; refusals as too fast never count."""
    first_pause_s: float = FIRST_PAUSE_S


class GivenUp(NamedTuple):
    """A text that the service did not translate for as long as the patience goes."""

    answer: ServiceAnswer
    """The service's last answer."""
    since: float


class Requests:
    """The slots of one job."""

    def __init__(self, ask: Ask, gate: Gate, spending: Spending, keep: KeepOne, patience: Patience) -> None:
        """Make slots that ask by `ask` and keep by `keep`."""
        self._ask = ask
        self._gate = gate
        self._spending = spending
        self._keep = keep
        self._patience = patience
        self._stopped = threading.Event()
        self._closed = threading.Event()
        """Set once no more texts are taken; those that were taken and paid still go."""
        self._lock = threading.Lock()
        self._counting = threading.Lock()
        self._error: BaseException | None = None
        self._translated_at = float("-inf")
        self.translated = self.failed = self.retried = 0

    def run(self, texts: Iterator[str], slots: int, tell: Callable[[], None] = lambda: None) -> None:
        """Translate each text once, `slots` of them at a time.

        Args:
            tell: called every half second by the thread that waits.

        Raises:
            BudgetSpent: the next request would exceed the budget; what went before is kept.
            BackendRefused: the service refuses, and nothing was translated yet.
            JobFailed: the service refuses, or has not answered for long.
        """
        threads = [threading.Thread(target=self._work, args=(texts,), daemon=True) for _ in range(slots)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(JOIN_S)
                    tell()
        finally:
            self._stopped.set()
            for thread in threads:  # what is under way is paid, so it is kept
                thread.join()
        if self._error is not None:
            raise self._error

    def one(self, text: str) -> GivenUp | None:
        """Translate one text in this thread. Raises what `run` raises, but returns a text that is given up."""
        return self._translate(text)

    def _work(self, texts: Iterator[str]) -> None:
        try:
            while not self._stopped.is_set() and not self._closed.is_set():
                with self._lock:
                    text = next(texts, None)
                if text is None:
                    return
                given_up = self._translate(text)
                if given_up is not None:
                    self._give_up(text, given_up)
        except BudgetSpent as spent:
            self._end_with(spent)
            self._closed.set()
        except BaseException as error:
            self._end_with(error)
            self._stopped.set()

    def _end_with(self, error: BaseException) -> None:
        with self._lock:
            if self._error is None or isinstance(self._error, BudgetSpent):
                self._error = error

    def _translate(self, text: str) -> GivenUp | None:
        failing_since: float | None = None
        tries = 0
        while True:
            self._spending.pay(len(text))
            sent = self._gate.wait(len(text.encode()), self._stopped)
            if sent is None:
                self._spending.take_back(len(text))
                return None
            answer = self._ask(text)
            if answer.kind not in (FailureKind.TRANSLATED, FailureKind.UNANSWERED):
                self._spending.take_back(len(text))
            if answer.kind is FailureKind.THROTTLED:
                self._gate.refused(sent)
            elif answer.kind in (
                FailureKind.TRANSLATED,
                FailureKind.FAILED,
            ):  # a failure of the service says nothing of the rate
                self._gate.accepted(sent)
            if self._is_done(text, answer):
                return None
            tries += 1
            self._count("retried")
            if answer.kind is not FailureKind.THROTTLED:
                now = time.monotonic()
                failing_since = failing_since or now
                if now - failing_since >= self._patience.give_up_s:
                    return GivenUp(answer, failing_since)
            self._stopped.wait(self._pause_s(answer.kind, tries))

    def _is_done(self, text: str, answer: ServiceAnswer) -> bool:
        if answer.kind is FailureKind.REFUSED:
            if not self.translated:
                raise BackendRefused(answer.text)
            raise JobFailed(f"{answer.text}; what is translated is kept: mend it and run the same command again")
        if answer.kind is FailureKind.TRANSLATED:
            self._keep(text, Outcome(answer.text))
            self._translated_at = time.monotonic()
            self._count("translated")
            return True
        if answer.kind is FailureKind.FAILED:
            self._keep(text, Outcome(None, answer.text))
            self._count("failed")
            if self.failed >= HOPELESS and not self.translated:
                raise JobFailed(
                    f"the first {self.failed} texts all failed, the last with {answer.text}; mend it, and run the same "
                    f"command again with --set retry_failed=true"
                )
            return True
        return False

    def _give_up(self, text: str, given_up: GivenUp) -> None:
        """Give up a text that alone fails; or the job, when all do."""
        if self._translated_at <= given_up.since:
            raise nobody_answers(self._patience, given_up.answer)
        self._keep(text, Outcome(None, f"tried for {self._patience.give_up_s:g} s: {given_up.answer.text}"))
        self._count("failed")

    def _count(self, name: str) -> None:
        with self._counting:
            setattr(self, name, getattr(self, name) + 1)

    def _pause_s(self, kind: FailureKind, tries: int) -> float:
        """Seconds to the next try, with full jitter: requests that failed together do not come back together."""
        longest = LONGEST_THROTTLED_PAUSE_S if kind is FailureKind.THROTTLED else LONGEST_PAUSE_S
        return random.uniform(0.0, min(longest, self._patience.first_pause_s * 2 ** min(tries, 10)))


def nobody_answers(patience: Patience, answer: ServiceAnswer) -> JobFailed:
    """The failure of a job whose service has not answered for long."""
    return JobFailed(
        f"no text was translated for {patience.give_up_s:g} s ({answer.text}); what is translated is kept: run the "
        f"same command again later"
    )
