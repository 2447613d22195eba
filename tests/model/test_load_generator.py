"""The load generator.

How it could tell a lie, and what is tested for it: it could
- wait for answers before it sends more, and so never see a queue;
- count a latency from when it sent, and so forgive its own lateness and the server's;
- call an answer good that came after its deadline, or one that is no answer;
- count as goodput of the load's seconds what a backlog gave after them;
- send other requests for the same seed, or all of one size where a mix was wanted.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrank.errors import SettingsError
from serve.load import (
    STEP,
    LoadSettings,
    Mix,
    Outcome,
    Reply,
    Shot,
    arrivals,
    body,
    find_capacity,
    fire,
    kind,
    once,
    percentile,
    summary,
    word_range,
)

TIMEOUT_S = 2.0


def settings(**given: Any) -> LoadSettings:
    return LoadSettings(**{"url": "http://127.0.0.1:8000/", "rate": 5.0, **given})


def outcome(
    latency_s: float = 0.1, status: int | None = 200, *, due_s: float = 0.0, pairs: int = 10, **told: Any
) -> Outcome:
    return Outcome(due_s, 0.0, latency_s, pairs, Reply(status, **told))


# what is sent, and when


def test_arrivals_are_those_of_a_poisson_process() -> None:
    moments = list(arrivals(rate=50.0, seconds=200.0, seed=1))
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert moments == sorted(moments)
    assert 0 < moments[0] <= moments[-1] < 200.0
    assert len(moments) == pytest.approx(10_000, rel=0.04)
    # Exponential gaps: mean and deviation are the same, and the median is ln 2 of them.
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.06)
    assert statistics.median(gaps) == pytest.approx(0.6931 / 50, rel=0.06)


def test_the_same_seed_gives_the_same_requests_and_another_gives_others() -> None:
    first, again, other = settings().shots(), settings().shots(), settings(seed=1).shots()
    assert first == again
    assert [shot.due_s for shot in first] != [shot.due_s for shot in other]
    assert first[0].documents != other[0].documents


def test_documents_follow_the_mix_and_the_words_their_range() -> None:
    shots = settings(rate=100.0, documents="10:0.8,50:0.15,200:0.05", words="3:6").shots()
    sizes = [len(shot.documents) for shot in shots]
    for number, share in ((10, 0.8), (50, 0.15), (200, 0.05)):
        assert sizes.count(number) / len(sizes) == pytest.approx(share, abs=0.03)
    assert {len(text.split()) for shot in shots for text in shot.documents} == {3, 4, 5, 6}


def test_a_rate_of_pairs_is_that_of_requests_times_their_mean_size() -> None:
    asked = settings(rate=None, pairs_rate=70.0, documents="10:1,60:1")
    assert Mix.parse("10:1,60:1").mean == 35
    assert asked.requests_per_second == 2.0
    assert asked.at(3.0).requests_per_second == 3.0


def test_each_dialect_has_its_path_and_names() -> None:
    shot = Shot(0.0, "q", ("a", "b"))
    assert settings(dialect="tei").endpoint == "http://127.0.0.1:8000/rerank"
    assert settings(dialect="cohere").endpoint == "http://127.0.0.1:8000/v2/rerank"
    assert body(shot, "tei", 50.0) == {"query": "q", "texts": ["a", "b"], "timeout_ms": 50.0}
    assert body(shot, "cohere", 50.0) == {"query": "q", "documents": ["a", "b"], "timeout_ms": 50.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": None},
        {"pairs_rate": 1.0},
        {"rate": 0.0},
        {"rate": float("inf")},
        {"rate": None, "pairs_rate": -1.0},
        {"seconds": float("nan")},
        {"timeout_ms": 0.0},
        {"documents": ""},
        {"documents": "0"},
        {"documents": "10:x"},
        {"documents": "10:-1,20:2"},
        {"words": "9:3"},
        {"words": "0:3"},
        {"words": "many"},
    ],
)
def test_a_load_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        settings(**wrong)


def test_one_number_of_words_is_both() -> None:
    assert word_range("7") == (7, 7)


# how it is sent


def test_a_slow_server_does_not_hold_up_the_arrivals() -> None:
    async def run() -> list[Outcome]:
        sent: list[Shot] = []
        all_sent = asyncio.Event()

        async def send(shot: Shot) -> Reply:
            sent.append(shot)
            if len(sent) == len(shots):
                all_sent.set()
            await asyncio.wait_for(all_sent.wait(), 30)  # no answer before the last request has come
            return Reply(200)

        outcomes = await fire(shots, send)
        assert sent == shots
        return outcomes

    shots = [Shot(0.02 * n, "q", ("d",)) for n in range(10)]
    outcomes = asyncio.run(run())
    assert [each.due_s for each in outcomes] == [shot.due_s for shot in shots]
    assert outcomes[0].latency_s >= 0.18


def test_a_latency_counts_from_when_a_request_was_due() -> None:
    async def run() -> list[Outcome]:
        async def send(_: Shot) -> Reply:
            time.sleep(0.2)  # the client itself is held up: the second is late through no fault of its own
            return Reply(200)

        return await fire([Shot(0.0, "q", ("d",)), Shot(0.01, "q", ("d",))], send)

    first, second = asyncio.run(run())
    assert first.latency_s >= 0.2
    assert second.late_s >= 0.15
    assert second.latency_s >= second.late_s + 0.2


# what came of it


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (outcome(1.9), "ok"),
        (outcome(TIMEOUT_S), "ok"),
        (outcome(2.1), "late"),
        (outcome(0.1, 429, has_retry_after=True), "429"),
        (outcome(2.1, 504), "504"),
        (outcome(3.0, None, failure="timeout"), "timeout"),
        (outcome(0.1, None, failure="closed"), "closed"),
    ],
)
def test_outcomes_have_kinds(each: Outcome, expected: str) -> None:
    assert kind(each, TIMEOUT_S) == expected


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 95, 99, 100)] == [1.0, 50.0, 95.0, 99.0, 100.0]
    assert percentile([3.0], 99) == 3.0
    assert percentile([], 99) is None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_so_many_percent_are_at_or_under_a_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 * (1 - 1e-12)


def test_the_summary_counts_what_was_answered_in_time_and_tells_the_rest_by_kind() -> None:
    outcomes = [
        outcome(0.1, pairs=10, tokens=500),
        outcome(0.3, pairs=50, tokens=2_500, due_s=1.0),
        outcome(2.5, pairs=200, tokens=9_000, due_s=2.0),
        outcome(0.01, 429, has_retry_after=True),
        outcome(0.01, 429),
        outcome(0.2, None, failure="closed"),
    ]
    told = summary(outcomes, 10.0, TIMEOUT_S)
    assert told["kinds"] == {"429": 2, "closed": 1, "late": 1, "ok": 2}
    assert told["kinds_by_documents"] == {10: {"429": 2, "closed": 1, "ok": 1}, 50: {"ok": 1}, 200: {"late": 1}}
    assert told["asked"] == {"requests": 6, "requests_per_second": 0.6, "pairs_per_second": 29.0}
    assert told["goodput"] == {
        "requests": 2,
        "requests_per_second": 0.2,
        "pairs_per_second": 6.0,
        "tokens_per_second": 300.0,
    }
    assert told["accepted_ms"] == {"p50": 300.0, "p95": 2500.0, "p99": 2500.0}, "the late one was accepted"
    assert (told["refused_with_retry_after"], told["refused_without"]) == (1, 1)


def test_what_a_backlog_gives_in_the_end_is_not_counted_as_if_it_had_come_in_time() -> None:
    told = summary([outcome(5.0, due_s=9.0) for _ in range(14)], 10.0, timeout_s=6.0)
    assert told["seconds"] == 14.0
    assert told["goodput"]["requests_per_second"] == 1.0


def test_a_load_without_a_single_request_has_a_summary() -> None:
    told = summary([], 1.0, TIMEOUT_S)
    assert told["goodput"]["requests"] == 0
    assert told["accepted_ms"] == {"p50": None, "p95": None, "p99": None}


# the search for the capacity


def test_the_rate_is_raised_until_the_goodput_no_longer_follows() -> None:
    capacity = 100.0

    async def fire_at(rate: float) -> dict[str, Any]:
        return told(asked=rate, good=min(rate, capacity))

    steps = asyncio.run(find_capacity(fire_at, 50.0))
    assert [step["rate"] for step in steps] == [round(50.0 * STEP**n, 3) for n in range(6)]
    assert max(step["goodput"]["pairs_per_second"] for step in steps) == capacity


def test_one_stumble_does_not_end_the_search_and_a_server_without_end_does_not_prolong_it() -> None:
    rates: list[float] = []

    async def fire_at(rate: float) -> dict[str, Any]:
        rates.append(rate)
        return told(asked=rate, good=rate * (0.5 if len(rates) == 2 else 1.0))

    assert len(asyncio.run(find_capacity(fire_at, 1.0, most_steps=5))) == 5


def told(asked: float, good: float) -> dict[str, Any]:
    return {"asked": {"pairs_per_second": asked}, "goodput": {"pairs_per_second": good}}


# the program, against a server that behaves badly on purpose


def test_every_way_in_which_a_server_can_fail_is_told_apart() -> None:
    told = asyncio.run(fire_at_a_bad_server())
    requests = told["asked"]["requests"]
    assert requests >= len(BAD_ANSWERS)
    expected = Counter(list(BAD_ANSWERS)[number % len(BAD_ANSWERS)] for number in range(requests))
    refused = expected.pop("429 bare")
    expected["429"] += refused
    assert told["kinds"] == dict(expected)
    assert told["refused_without"] == refused
    assert told["refused_with_retry_after"] == expected["429"] - refused
    assert told["goodput"]["tokens_per_second"] == pytest.approx(70 * expected["ok"] / told["seconds"], abs=0.1)


BAD_ANSWERS = {
    "ok": b"HTTP/1.1 200 OK\r\nx-compute-tokens: 70\r\ncontent-length: 2\r\n\r\n{}",
    "429": b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}",
    "429 bare": b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}",
    "500": b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
    "closed": b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{",
    "timeout": b"",
}


async def fire_at_a_bad_server() -> dict[str, Any]:
    numbers = count()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
        said = list(BAD_ANSWERS.values())[next(numbers) % len(BAD_ANSWERS)]
        writer.write(said)
        await writer.drain()
        if not said:
            await reader.read()  # until the client has had enough
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return await once(settings(url=f"http://127.0.0.1:{port}", rate=40.0, seconds=0.5, timeout_ms=300.0))
