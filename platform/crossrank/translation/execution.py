"""Translates the texts that the memory lacks, by a service that is paid or by a model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.telemetry.job_metrics import (
    PAID_CHARACTERS,
    PAID_USD,
    REPEATED,
    REQUEST_RATE,
    REQUESTS,
    TEXTS,
    THROTTLED,
)
from crossrank.telemetry.progress import Progress, say
from crossrank.translation.backend import Backend, Outcome
from crossrank.translation.batched_writer import Keeper
from crossrank.translation.budget import BudgetSpent, Spending, budget_is_spent
from crossrank.translation.lookup import Lookup
from crossrank.translation.memory.store import Memory
from crossrank.translation.paid_requests import Patience, Requests, nobody_answers
from crossrank.translation.rate_control import Pace
from crossrank.translation.rate_limiter import Gate
from crossrank.translation.service import Ask, FailureKind, PaidBackend
from crossrank.translation.settings import TranslateSettings

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

FIRST_GIVE_UP_S = 15.0
"""Seconds that the first text of a job is tried: a service that never answered is not waited for as long as one that
stops in the middle."""


def spending_of(settings: TranslateSettings, output: str, afresh: bool = False) -> Spending:
    """The spending for this output.

    Args:
        afresh: whether what an earlier run spent does not count.
    """
    return Spending(spent_file(output), settings.usd_per_million_characters, settings.budget_usd, afresh)


def spent_file(output: str) -> str:
    """The file in which an output keeps what was paid for it."""
    return storage.join(output, "_spent.json")


@dataclass(slots=True)
class TranslationWork:
    """Texts that are to be translated, and where their translations go."""

    settings: TranslateSettings
    memory: Memory
    lookup: Lookup
    spending: Spending
    missing: int = 0
    """Texts that were missing when the job was prepared."""
    done_before: int = 0
    """Texts of those that earlier runs translated."""

    def keep(self, text: str, outcome: Outcome) -> None:
        """Keep one outcome."""
        self.memory.add([self.lookup.entry(text, outcome)])

    def try_first(self, backend: PaidBackend, text: str) -> None:
        """Ask for one text before any other work: whether credentials, permission and languages are right.

        Its translation is kept like any other, so that trying costs nothing more. A text that the service has trouble
        with is left for later, among the others.
        """
        patience = Patience(min(FIRST_GIVE_UP_S, self.settings.give_up_s))
        requests = Requests(backend.load(1).ask, self._gate(), self.spending, self.keep, patience)
        try:
            given_up = requests.one(text)
        except BudgetSpent:
            raise self._budget_is_spent(self.missing or 1) from None
        finally:
            self.spending.close()
        if given_up is not None and given_up.answer.kind is FailureKind.UNREACHABLE:
            raise nobody_answers(patience, given_up.answer)

    def ask_for(self, texts: Iterator[str], ask: Ask) -> dict[str, Any]:
        """Translate texts by a service, a request each. Returns figures.

        Raises:
            JobFailed: the budget is spent, or the service refuses.
        """
        gate = self._gate()
        with Keeper(self.memory.add) as keeper, Progress("texts", self.missing, self.done_before) as progress:

            def keep(text: str, outcome: Outcome) -> None:
                keeper.keep([self.lookup.entry(text, outcome)])

            requests = Requests(ask, gate, self.spending, keep, Patience(self.settings.give_up_s))
            report = _RequestReport(progress, requests, gate, self.spending)
            try:
                requests.run(texts, self.settings.concurrency, report.update)
            except BudgetSpent:
                left = self.missing - self.done_before - requests.translated - requests.failed
                raise self._budget_is_spent(left) from None
            finally:
                report.update()
                self.spending.close()
        return {
            "requests": gate.sent,
            "requests_refused_as_too_fast": gate.refusals,
            "requests_repeated": requests.retried,
            "requests_per_second_at_the_end": round(gate.rate, 1),
            "translated": requests.translated,
            "failed": requests.failed,
        }

    def compute(self, texts: Iterator[str], backend: Backend, pool: Pool) -> dict[str, Any]:
        """Translate texts by a model. Returns figures."""
        from crossrank.translation.on_ray.models import translate_on

        counts = {"translated": 0, "failed": 0}
        started = time.monotonic()
        with Progress("texts", self.missing, self.done_before) as progress:
            progress.advance(0, "workers are starting")

            def keep(outcomes: Sequence[tuple[str, Outcome]]) -> None:
                self.memory.add([self.lookup.entry(text, outcome) for text, outcome in outcomes])
                failed = sum(outcome.text is None for _, outcome in outcomes)
                counts["failed"] += failed
                counts["translated"] += len(outcomes) - failed
                TEXTS.add(failed, outcome="failed")
                TEXTS.add(len(outcomes) - failed, outcome="translated")
                rate = sum(counts.values()) / max(time.monotonic() - started, 1e-9)
                progress.advance(len(outcomes), f"{rate:,.1f} texts/s")

            translate_on(backend, pool, texts, keep)
        return counts

    def _gate(self) -> Gate:
        return Gate(Pace(self.settings.requests_per_second, self.settings.bytes_per_second))

    def _budget_is_spent(self, left: int) -> Exception:
        budget = self.settings.budget_usd
        assert budget is not None, "without a budget none is spent"
        return budget_is_spent(budget, self.spending.usd, left)


class _RequestReport:
    """The progress line and the Prometheus counters while requests go."""

    def __init__(self, progress: Progress, requests: Requests, gate: Gate, spending: Spending) -> None:
        self._progress = progress
        self._requests = requests
        self._gate = gate
        self._spending = spending
        self._reported = 0
        self._failed = 0
        self._counted: Counter[str] = Counter()

    def update(self) -> None:
        """Advance the progress line and the counters to where the requests are."""
        done = self._requests.translated + self._requests.failed
        sent = max(self._gate.sent, 1)
        detail = f"at most {self._gate.rate:,.0f} requests/s, {self._spending.usd:,.2f} USD spent"
        if self._gate.refusals:
            detail += f", {self._gate.refusals / sent:.1%} refused as too fast"
        self._count()
        self._progress.advance(done - self._reported, detail)
        self._reported = done
        if self._requests.failed and not self._failed:
            self._failed = self._requests.failed
            say("a text could not be translated; the manifest counts them, and their documents are flagged")

    def _count(self) -> None:
        """Add what came since the last call to the counters of Prometheus."""
        requests, gate = self._requests, self._gate
        now = Counter(
            translated=requests.translated,
            failed=requests.failed,
            sent=gate.sent,
            refused=gate.refusals,
            repeated=requests.retried,
        )
        new, self._counted = now - self._counted, now
        TEXTS.add(new["translated"], outcome="translated")
        TEXTS.add(new["failed"], outcome="failed")
        REQUESTS.add(new["sent"])
        THROTTLED.add(new["refused"])
        REPEATED.add(new["repeated"])
        REQUEST_RATE.set(gate.rate)
        PAID_CHARACTERS.set(self._spending.characters)
        PAID_USD.set(self._spending.usd)
