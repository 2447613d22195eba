"""Send load to a server, at moments that do not wait for its answers, and report what came of it.

    python serve/load.py --url http://127.0.0.1:8000 --rate 5 --documents 10:0.8,50:0.15,200:0.05 --seconds 60
    python serve/load.py --url http://127.0.0.1:8000 --pairs-rate 20 --seconds 20 --find-capacity

A request is sent when it is due, whether or not those before were answered, and its latency counts from the moment it
was due. A server that falls behind shows it; a client that waits for answers before it sends more would hide it
(coordinated omission, as wrk2 has it).

The last line is JSON. Any server of text-embeddings-inference's or Cohere's dialect will do. Every flag: --help.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import aiohttp

from crossrank.cli.main import run
from crossrank.cli.options import command
from crossrank.config.bounds import SEED_MOST
from crossrank.config.settings import CheckedSettings, option
from crossrank.errors import SettingsError
from crossrank.telemetry.progress import say

Dialect = Literal["tei", "cohere"]
PATHS: Mapping[Dialect, str] = {"tei": "/rerank", "cohere": "/v2/rerank"}

GRACE_S = 1.0
"""Seconds that a client waits past its deadline: a server that answers 504 at the deadline is heard, not timed out."""
FOLLOWS = 0.9
"""Share of what was asked that the goodput of a server that follows has; the answers to the last requests come after
the others' seconds, so that it is never all of it."""
STEP = 1.25
"""Factor by which each step of the search for the capacity is faster."""
POOL = 2_000
"""Documents that requests are put together from; to make every one anew would cost this machine too much."""
WORDS = (
    "river market winter engine letter garden music paper stone harbor doctor window history bridge animal station "
    "language mountain number yellow silver quiet open small large early found began carried written between under"
)


@dataclass(frozen=True, slots=True)
class Mix:
    """Numbers of documents of a request, each with its share of the requests."""

    numbers: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def parse(cls, text: str) -> Mix:
        """Parse ``50``, or ``10:0.8,50:0.15,200:0.05``; shares need not add up to 1.

        Raises:
            SettingsError: a text of another form.
        """
        parts = [part.partition(":") for part in text.split(",")]
        try:
            numbers = tuple(int(number) for number, _, _ in parts)
            shares = tuple(float(share) if colon else 1.0 for _, colon, share in parts)
        except ValueError as error:
            raise SettingsError(f"--documents is {text!r}; write a number, or a mix such as 10:0.8,50:0.2") from error
        if min(numbers) < 1 or not all(0 < share < math.inf for share in shares):
            raise SettingsError(f"--documents is {text!r}; numbers of documents and their shares are above 0")
        return cls(numbers, shares)

    @property
    def mean(self) -> float:
        """Documents of a request on average."""
        weighted: float = sum(number * share for number, share in zip(self.numbers, self.shares, strict=True))
        return weighted / sum(self.shares)

    def draw(self, rng: random.Random) -> int:
        """The number of documents of one request."""
        return rng.choices(self.numbers, self.shares)[0]


def word_range(text: str) -> tuple[int, int]:
    """Parse ``5:80``, the fewest and the most words of a document, or one number for both.

    Raises:
        SettingsError: a text of another form.
    """
    low, _, high = text.partition(":")
    try:
        words = int(low), int(high or low)
    except ValueError as error:
        raise SettingsError(f"--words is {text!r}; write the fewest and the most, such as 5:80") from error
    if not 1 <= words[0] <= words[1]:
        raise SettingsError(f"--words is {text!r}; the fewest comes first and is at least 1")
    return words


@dataclass(frozen=True, slots=True)
class Shot:
    """One request: when it is due, in seconds from the start, and what it asks."""

    due_s: float
    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply of a server. Where there was none, it has no status, and the reason in `failure`."""

    status: int | None
    tokens: int = 0
    """Tokens that the model read; 0 where the server does not say."""
    has_retry_after: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one shot. Seconds count from when it was due."""

    due_s: float
    late_s: float
    """Seconds from when the shot was due until it was sent: what this client, not the server, was late."""
    latency_s: float
    pairs: int
    reply: Reply


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadSettings(CheckedSettings):
    """Settings of the load. The same seed gives the same requests at the same moments."""

    url: str = option(help="Server, such as http://127.0.0.1:8000.")
    rate: float | None = option(None, help="Requests a second; this or --pairs-rate.", above=0)
    pairs_rate: float | None = option(None, help="Documents a second, over all requests.", above=0)
    seconds: float = option(30.0, help="Seconds for which requests are sent.", above=0)
    documents: str = option("10", help="Documents of a request: a number, or shares such as 10:0.8,50:0.15,200:0.05.")
    words: str = option("5:80", help="Fewest and most words of a document.")
    timeout_ms: float = option(
        10_000.0, help="Milliseconds until the deadline of a request, which is sent with it.", above=0
    )
    dialect: Literal["tei", "cohere"] = option("cohere", help="Dialect of the requests.")
    key: str | None = option(None, help="API key; default CROSSRANK_API_KEY.")
    seed: int = option(0, help="Seed of the requests and of their moments.", most=SEED_MOST)
    find_capacity: bool = option(False, help="Start at the rate, and raise it until the goodput no longer follows.")
    json: str | None = option(None, help="File for the figures; they are printed in any case.")

    def check(self) -> None:
        if (self.rate is None) == (self.pairs_rate is None):
            raise SettingsError("give either --rate or --pairs-rate: one says what the other one is")
        Mix.parse(self.documents)
        word_range(self.words)

    @property
    def requests_per_second(self) -> float:
        """Requests a second, whichever way the rate was given."""
        return self.rate or (self.pairs_rate or 0.0) / Mix.parse(self.documents).mean

    @property
    def timeout_s(self) -> float:
        """The deadline in seconds."""
        return self.timeout_ms / 1000

    @property
    def endpoint(self) -> str:
        """URL to which the dialect's requests go."""
        return self.url.rstrip("/") + PATHS[self.dialect]

    def at(self, rate: float) -> LoadSettings:
        """Settings of the same load at another rate of requests."""
        return replace(self, rate=rate, pairs_rate=None)

    def shots(self) -> list[Shot]:
        """All requests, in the order in which they are due."""
        rng = random.Random(f"texts {self.seed}")
        mix, (fewest, most) = Mix.parse(self.documents), word_range(self.words)
        pool = [sentence(rng, rng.randint(fewest, most)) for _ in range(POOL)]
        return [
            Shot(due_s, sentence(rng, rng.randint(3, 9)), tuple(rng.choices(pool, k=mix.draw(rng))))
            for due_s in arrivals(self.requests_per_second, self.seconds, self.seed)
        ]


def arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Moments of a Poisson process: independent, `rate` of them a second on average."""
    rng = random.Random(f"arrivals {seed}")
    now = rng.expovariate(rate)
    while now < seconds:
        yield now
        now += rng.expovariate(rate)


def sentence(rng: random.Random, num_words: int) -> str:
    """Sentence of so many plain English words."""
    return " ".join(rng.choices(WORDS.split(), k=num_words))


def body(shot: Shot, dialect: Dialect, timeout_ms: float) -> dict[str, Any]:
    """JSON of a request, with the deadline, which both dialects take."""
    texts = "texts" if dialect == "tei" else "documents"
    return {"query": shot.query, texts: list(shot.documents), "timeout_ms": timeout_ms}


Send = Callable[[Shot], Awaitable[Reply]]


async def fire(shots: Iterable[Shot], send: Send) -> list[Outcome]:
    """Send each shot when it is due, and wait for all replies in the end. `send` puts its own limit on each."""
    clock = asyncio.get_running_loop().time
    began = clock()

    async def one(shot: Shot) -> Outcome:
        sent_s = clock() - began
        reply = await send(shot)
        return Outcome(shot.due_s, sent_s - shot.due_s, clock() - began - shot.due_s, len(shot.documents), reply)

    running = []
    for shot in shots:
        # Also for one that is overdue: the tasks of those before it need a turn to be sent.
        await asyncio.sleep(max(0.0, began + shot.due_s - clock()))
        running.append(asyncio.create_task(one(shot)))
    return list(await asyncio.gather(*running))


def kind(outcome: Outcome, timeout_s: float) -> str:
    """Kind of an outcome: ``ok``, ``late`` (200 after its deadline), the HTTP status, or how the connection ended."""
    status = outcome.reply.status
    if status is None:
        return outcome.reply.failure
    if status != 200:
        return str(status)
    return "ok" if outcome.latency_s <= timeout_s else "late"


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The least value that so many percent of all are at or under; None where there is none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def summary(outcomes: Sequence[Outcome], seconds: float, timeout_s: float) -> dict[str, Any]:
    """Figures of a load: rates, latencies, and outcomes by kind.

    Goodput is over the seconds until the last answer within its deadline: what a backlog gives after the last request
    is not counted as if it had been given before.
    """
    good = [outcome for outcome in outcomes if kind(outcome, timeout_s) == "ok"]
    accepted = [outcome.latency_s for outcome in outcomes if outcome.reply.status == 200]
    refused = [outcome.reply.has_retry_after for outcome in outcomes if outcome.reply.status == 429]
    span_s = max([seconds, *(outcome.due_s + outcome.latency_s for outcome in good)])
    return {
        "asked": _rates(outcomes, seconds),
        "goodput": {
            **_rates(good, span_s),
            "tokens_per_second": round(sum(outcome.reply.tokens for outcome in good) / span_s, 1),
        },
        "seconds": round(span_s, 2),
        "accepted_ms": {f"p{percent}": _ms(percentile(accepted, percent)) for percent in (50, 95, 99)},
        "kinds": _kinds(outcomes, timeout_s),
        "kinds_by_documents": {
            pairs: _kinds([outcome for outcome in outcomes if outcome.pairs == pairs], timeout_s)
            for pairs in sorted({outcome.pairs for outcome in outcomes})
        },
        "refused_with_retry_after": sum(refused),
        "refused_without": len(refused) - sum(refused),
        "client_late_p99_ms": _ms(percentile([outcome.late_s for outcome in outcomes], 99)),
    }


Fired = Callable[[float], Awaitable[dict[str, Any]]]
"""Fires a load of so many requests a second, and gives its summary."""


async def find_capacity(fire_at: Fired, first_rate: float, most_steps: int = 12) -> list[dict[str, Any]]:
    """Raise the rate until the goodput no longer follows, and return the summaries of all steps, each with its rate.

    The capacity is the largest goodput among them. One step past the first that fails is taken, so that a stumble is
    not taken for the end.
    """
    steps: list[dict[str, Any]] = []
    misses = 0
    for step in range(most_steps):
        rate = first_rate * STEP**step
        steps.append({"rate": round(rate, 3), **await fire_at(rate)})
        misses = 0 if follows(steps[-1]) else misses + 1
        if misses == 2:
            break
    return steps


def follows(figures: Mapping[str, Any]) -> bool:
    """Whether nearly all pairs of a summary were answered in time."""
    return bool(figures["goodput"]["pairs_per_second"] >= FOLLOWS * figures["asked"]["pairs_per_second"])


def _rates(outcomes: Sequence[Outcome], seconds: float) -> dict[str, float]:
    return {
        "requests": len(outcomes),
        "requests_per_second": round(len(outcomes) / seconds, 2),
        "pairs_per_second": round(sum(outcome.pairs for outcome in outcomes) / seconds, 2),
    }


def _kinds(outcomes: Iterable[Outcome], timeout_s: float) -> dict[str, int]:
    return dict(sorted(Counter(kind(outcome, timeout_s) for outcome in outcomes).items()))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)


def load(settings: LoadSettings) -> None:
    """Send requests at random moments, and report goodput, latencies and errors by kind."""
    figures = asyncio.run(_capacity(settings) if settings.find_capacity else once(settings))
    text = json.dumps(figures)
    if settings.json is not None:
        Path(settings.json).write_text(text + "\n")
    print(text)


async def once(settings: LoadSettings) -> dict[str, Any]:
    """Fire one load, and sum up."""
    shots = settings.shots()
    say(f"{len(shots):,} requests in {settings.seconds:g} s to {settings.endpoint}")
    outcomes = await sent(settings, shots)
    figures = {
        "rate": round(settings.requests_per_second, 3),
        **summary(outcomes, settings.seconds, settings.timeout_s),
    }
    for name, value in figures.items():
        say(f"{name:26} {value}")
    return figures


async def sent(settings: LoadSettings, shots: Sequence[Shot]) -> list[Outcome]:
    """Send these shots, whatever the settings themselves would fire."""
    key = settings.key or os.environ.get("CROSSRANK_API_KEY")
    # A connection is dropped before the server does it: it could do so just when a request is on its way.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"authorization": f"Bearer {key}"} if key else {},
        timeout=aiohttp.ClientTimeout(total=settings.timeout_s + GRACE_S),
    ) as session:

        async def send(shot: Shot) -> Reply:
            return await _send(session, shot, settings)

        return await fire(shots, send)


async def _capacity(settings: LoadSettings) -> dict[str, Any]:
    steps = await find_capacity(lambda rate: once(settings.at(rate)), settings.requests_per_second)
    best = max(steps, key=lambda step: step["goodput"]["pairs_per_second"])
    say(f"capacity: {best['goodput']['pairs_per_second']} pairs/s, reached at {best['rate']} requests/s")
    return {"capacity": best["goodput"], "steps": steps}


async def _send(session: aiohttp.ClientSession, shot: Shot, settings: LoadSettings) -> Reply:
    try:
        async with session.post(settings.endpoint, json=body(shot, settings.dialect, settings.timeout_ms)) as response:
            await response.read()
            tokens = response.headers.get("x-compute-tokens", "0")
            return Reply(response.status, int(tokens), "retry-after" in response.headers)
    except TimeoutError:
        return Reply(None, failure="timeout")
    except aiohttp.ClientConnectorError:
        return Reply(None, failure="no connection")
    except aiohttp.ClientError:
        return Reply(None, failure="closed")


if __name__ == "__main__":
    run(command(LoadSettings, load))
