"""Several replicas as one: a large request is split over them, and one that is refused is offered to another.

How it could fail users, and what is tested for it: a document is lost, scored twice, or gets the score of another; a
replica that dies takes the request with it; work goes on that nobody waits for; a slice outlives the deadline of its
request; a refusal costs more than it saves.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrank.serving.errors import Broken, Empty, Expired, Invalid, NotReady, Overloaded, RequestError
from crossrank.serving.fan_out import LEAST_AWAY_S, SLICE_S, FanOut, Lost, merged, split
from crossrank.serving.metrics import Metrics
from crossrank.serving.request import Cutting, ScoringRequest, ScoringResponse, Timing
from crossrank.serving.service import Deadlines
from tests.unit.serving.desk import Clock

GUARD_S = 10.0
DOCUMENT_S = 1 / 128
"""Seconds of work in each document of these tests; sums of it are exact."""


def ask_for(num: int, **fields: object) -> ScoringRequest:
    """An ask of so many documents whose scores are their numbers."""
    return replace(ScoringRequest(queries=("q",), documents=tuple(str(n) for n in range(num))), **fields)  # type: ignore[arg-type]


def answer_to(ask: ScoringRequest) -> ScoringResponse:
    """The logit of a document is the number that it says; the numbers beside it are made from it, too."""
    numbers_C = np.array([float(text) for text in ask.documents], dtype=np.float32)
    count_C = numbers_C.astype(np.int32)
    timing = Timing(0.1, 0.2, float(len(ask.documents)), float(len(ask.documents)))
    return ScoringResponse(numbers_C, count_C + 7, count_C % 3, count_C % 2 + 1, 5, ask.num_characters, timing)


def seconds_of(ask: ScoringRequest) -> NDArray[np.float64]:
    return np.full(len(ask.documents), DOCUMENT_S)


@dataclass
class Replica:
    """Scores at once, or does as it is told first."""

    seen: list[ScoringRequest] = field(default_factory=list)
    cancelled: int = 0
    acts: list[Exception | float | None] = field(default_factory=list)
    """What it does for each ask in turn: raise, wait so many seconds, or score; afterwards it scores."""
    deadlines: Deadlines = field(default_factory=lambda: Deadlines(default_s=30.0, most_s=60.0))
    before: Callable[[], None] = lambda: None

    async def score(self, ask: ScoringRequest) -> ScoringResponse:
        self.seen.append(ask)
        self.before()
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, Exception):
            raise act
        try:
            await asyncio.sleep(act or 0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return answer_to(ask)


class Others:
    """Replicas by their names."""

    def __init__(self, **replicas: Replica) -> None:
        self.replicas = replicas

    async def names(self) -> list[str]:
        return list(self.replicas)

    async def score(self, name: str, ask: ScoringRequest) -> ScoringResponse:
        return await self.replicas[name].score(ask)


class Fleet:
    """One replica and its siblings a, b, ..., with a clock that stands still."""

    def __init__(self, num_siblings: int = 1) -> None:
        self.here = Replica()
        self.siblings = {chr(ord("a") + n): Replica() for n in range(num_siblings)}
        self.clock = Clock()
        self.metrics = Metrics()
        self.fan_out = FanOut(self.here, Others(**self.siblings), seconds_of, self.metrics, self.clock)

    def score(self, ask: ScoringRequest) -> ScoringResponse:
        return asyncio.run(asyncio.wait_for(self.fan_out.score(ask), GUARD_S))

    def counted(self, name: str) -> float:
        [family] = [family for family in self.metrics.families(0, 0.0, 0.0) if family["name"] == name]
        return sum(family["values"].values())

    @property
    def documents_seen(self) -> list[int]:
        replicas = [self.here, *self.siblings.values()]
        return [sum(len(ask.documents) for ask in replica.seen) for replica in replicas]


def same(one: ScoringResponse, other: ScoringResponse) -> bool:
    fields = ("logits_C", "tokens_C", "cut_C", "chunks_C")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)
        and all(getattr(one, name).dtype == getattr(other, name).dtype for name in fields)
        and (one.query_cut, one.num_characters) == (other.query_cut, other.num_characters)
    )


@given(
    seconds=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=60),
    num_slices=st.integers(1, 12),
    has_one_query=st.booleans(),
)
def test_slices_hold_each_document_once_in_order_with_its_query_and_about_equal_work(
    seconds: list[float], num_slices: int, has_one_query: bool
) -> None:
    documents = tuple(f"d{n}" for n in range(len(seconds)))
    queries = ("q",) if has_one_query else tuple(f"q{n}" for n in range(len(seconds)))
    slices = split(ScoringRequest(queries=queries, documents=documents, priority=3), np.array(seconds), num_slices)
    assert 1 <= len(slices) <= num_slices
    assert tuple(text for each in slices for text in each.documents) == documents
    first = 0
    for each in slices:
        end = first + len(each.documents)
        assert end > first
        assert each.queries == (("q",) if has_one_query else queries[first:end])
        assert each.priority == 3
        assert sum(seconds[first:end]) <= sum(seconds) / num_slices + max(seconds) + 1e-6
        first = end


@given(num=st.integers(1, 50), num_slices=st.integers(1, 8))
def test_the_merged_answer_is_that_of_the_whole(num: int, num_slices: int) -> None:
    ask = ask_for(num)
    slices = split(ask, seconds_of(ask), num_slices)
    assert same(merged(ask, [answer_to(each) for each in slices], 1.0), answer_to(ask))


def test_cut_queries_are_counted_each_once() -> None:
    slices = [ask_for(3), ask_for(2)]
    answers = [answer_to(each) for each in slices]
    assert merged(ask_for(5), answers, 1.0).query_cut == 5
    assert merged(ask_for(5, queries=("q",) * 5), answers, 1.0).query_cut == 10


def test_the_timing_is_that_of_the_slowest_slice_and_the_total_is_what_passed() -> None:
    timing = merged(ask_for(5), [answer_to(ask_for(3)), answer_to(ask_for(2))], 9.0).timing
    assert (timing.inference_s, timing.total_s) == (3.0, 9.0)


def test_a_large_request_is_scored_by_all_replicas() -> None:
    fleet = Fleet(num_siblings=2)
    assert same(fleet.score(ask_for(900)), answer_to(ask_for(900)))
    assert fleet.documents_seen == [300, 300, 300]
    assert fleet.counted("rr_fanned_out_requests_total") == 1


def test_a_small_request_stays_where_it_is() -> None:
    fleet = Fleet(num_siblings=2)
    num = int(2 * SLICE_S / DOCUMENT_S) - 1
    fleet.score(ask_for(num))
    assert fleet.documents_seen == [num, 0, 0]
    assert fleet.counted("rr_fanned_out_requests_total") == 0


def test_no_slice_has_less_work_than_is_worth_it() -> None:
    fleet = Fleet(num_siblings=9)
    fleet.score(ask_for(int(3 * SLICE_S / DOCUMENT_S)))
    assert sorted(fleet.documents_seen) == [0] * 7 + [64] * 3


def test_one_replica_alone_scores_all() -> None:
    fleet = Fleet(num_siblings=0)
    assert same(fleet.score(ask_for(900)), answer_to(ask_for(900)))
    assert fleet.documents_seen == [900]


def test_a_request_that_refuses_what_does_not_fit_is_not_split_as_its_refusal_names_a_document_by_number() -> None:
    fleet = Fleet()
    fleet.score(ask_for(900, cutting=Cutting(documents=False)))
    assert fleet.documents_seen == [900, 0]


@pytest.mark.parametrize("fault", [Lost("a"), Overloaded("full", 5.0), NotReady("draining")], ids=repr)
def test_the_slice_of_a_replica_that_dies_or_refuses_is_scored_here(fault: Exception) -> None:
    fleet = Fleet()
    fleet.siblings["a"].acts = [fault]
    assert same(fleet.score(ask_for(400)), answer_to(ask_for(400)))
    assert fleet.documents_seen == [400, 200]


def test_a_slice_that_is_refused_here_is_scored_elsewhere() -> None:
    fleet = Fleet()
    fleet.here.acts = [Overloaded("full", 5.0)]
    assert same(fleet.score(ask_for(400)), answer_to(ask_for(400)))
    assert fleet.documents_seen == [200, 400]


def test_when_all_refuse_the_request_is_refused_with_the_soonest_time_and_nobody_works_on() -> None:
    fleet = Fleet(num_siblings=2)
    fleet.here.acts = [Overloaded("full", 5.0)] * 4
    fleet.siblings["a"].acts = [Overloaded("full", 2.0)] * 3
    fleet.siblings["b"].acts = [60.0, *[Overloaded("full", 5.0)] * 3]
    with pytest.raises(Overloaded) as refused:
        fleet.score(ask_for(900))
    assert refused.value.retry_after_s == 2.0
    assert fleet.siblings["b"].cancelled == 1


def test_a_request_whose_slices_have_no_room_together_is_scored_whole_where_there_is_room() -> None:
    fleet = Fleet()
    fleet.here.acts = [60.0, Overloaded("full", 5.0), None]
    fleet.siblings["a"].acts = [Overloaded("full", 5.0)]
    assert same(fleet.score(ask_for(400)), answer_to(ask_for(400)))
    assert fleet.here.cancelled == 1
    assert [len(ask.documents) for ask in fleet.here.seen] == [200, 200, 400]


def test_a_request_that_is_too_much_for_one_replica_alone_is_told_to_come_back_and_not_that_it_is_wrong() -> None:
    fleet = Fleet()
    fleet.here.acts = [Overloaded("full", 5.0), Overloaded("full", 5.0), Invalid("too much")]
    fleet.siblings["a"].acts = [Overloaded("full", 2.0)] * 2
    with pytest.raises(Overloaded) as refused:
        fleet.score(ask_for(400))
    assert refused.value.retry_after_s == 2.0


@pytest.mark.parametrize("fault", [Invalid("no"), Expired("late"), Broken("NaN")], ids=repr)
def test_another_fault_is_told_as_it_is_and_the_other_slices_are_cancelled(fault: RequestError) -> None:
    fleet = Fleet(num_siblings=2)
    fleet.here.acts = [60.0]
    fleet.siblings["a"].acts = [fault]
    fleet.siblings["b"].acts = [60.0]
    with pytest.raises(type(fault)) as told:
        fleet.score(ask_for(900))
    assert told.value is fault
    assert (fleet.here.cancelled, fleet.siblings["b"].cancelled) == (1, 1)
    assert fleet.documents_seen == [300, 300, 300]


def test_a_client_that_goes_away_cancels_every_slice() -> None:
    fleet = Fleet(num_siblings=2)
    replicas = [fleet.here, *fleet.siblings.values()]
    for replica in replicas:
        replica.acts = [60.0]

    async def go_away() -> None:
        asking = asyncio.create_task(fleet.fan_out.score(ask_for(900)))
        while not all(replica.seen for replica in replicas):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(asyncio.wait_for(go_away(), GUARD_S))
    assert [replica.cancelled for replica in replicas] == [1, 1, 1]


def test_a_replica_that_hangs_costs_the_deadline_and_not_for_ever() -> None:
    fleet = Fleet()
    fleet.siblings["a"].acts = [60.0]
    with pytest.raises(Expired):
        fleet.score(ask_for(400, timeout_s=0.2))
    assert fleet.siblings["a"].cancelled == 1


def test_slices_carry_the_priority_and_the_time_that_is_left() -> None:
    fleet = Fleet()

    def time_passes() -> None:
        fleet.clock.now += 4.0

    fleet.siblings["a"].acts = [Lost("a")]
    fleet.siblings["a"].before = time_passes
    fleet.score(ask_for(400, timeout_s=10.0, priority=2))
    mine, again = fleet.here.seen
    assert (mine.timeout_s, again.timeout_s) == (10.0, 6.0)
    assert {ask.priority for ask in [mine, again, *fleet.siblings["a"].seen]} == {2}


def test_a_slice_is_not_tried_again_after_the_deadline() -> None:
    fleet = Fleet()

    def time_passes() -> None:
        fleet.clock.now += 11.0

    fleet.siblings["a"].acts = [Lost("a")]
    fleet.siblings["a"].before = time_passes
    with pytest.raises(Expired):
        fleet.score(ask_for(400, timeout_s=10.0))
    assert fleet.documents_seen == [200, 200]


@pytest.mark.parametrize(("timeout_s", "left_s"), [(None, 30.0), (500.0, 60.0)])
def test_a_request_without_a_timeout_or_with_too_long_a_one_gets_what_the_server_gives(
    timeout_s: float | None, left_s: float
) -> None:
    fleet = Fleet()
    fleet.score(ask_for(400, timeout_s=timeout_s))
    assert fleet.siblings["a"].seen[0].timeout_s == left_s


def test_slices_go_to_the_replicas_in_turn() -> None:
    fleet = Fleet(num_siblings=3)
    for _ in range(3):
        fleet.score(ask_for(128))
    assert fleet.documents_seen == [192, 64, 64, 64]


def test_a_request_that_is_refused_here_is_scored_by_another() -> None:
    fleet = Fleet()
    fleet.here.acts = [Overloaded("full", 5.0)]
    assert same(fleet.score(ask_for(9)), answer_to(ask_for(9)))
    assert fleet.counted("rr_overflowed_requests_total") == 1


def test_a_request_that_two_refuse_is_told_the_sooner_time_and_is_offered_only_once() -> None:
    fleet = Fleet(num_siblings=2)
    fleet.here.acts = [Overloaded("full", 5.0)]
    for sibling in fleet.siblings.values():
        sibling.acts = [Overloaded("full", 3.0)]
    with pytest.raises(Overloaded) as refused:
        fleet.score(ask_for(9))
    assert refused.value.retry_after_s == 3.0
    assert sum(fleet.documents_seen) == 18
    assert fleet.counted("rr_overflowed_requests_total") == 0


@pytest.mark.parametrize("fault", [Lost("a"), NotReady("draining")], ids=repr)
def test_a_request_refused_here_stays_refused_when_the_other_replica_is_gone(fault: Exception) -> None:
    fleet = Fleet()
    fleet.here.acts = [Overloaded("full", 5.0)]
    fleet.siblings["a"].acts = [fault]
    with pytest.raises(Overloaded) as refused:
        fleet.score(ask_for(9))
    assert refused.value.retry_after_s == 5.0


@pytest.mark.parametrize(("retry_s", "away_s"), [(3.0, 3.0), (0.01, LEAST_AWAY_S)])
def test_a_replica_that_refused_is_not_asked_again_before_it_has_room(retry_s: float, away_s: float) -> None:
    fleet = Fleet()
    fleet.here.acts = [Overloaded("full", 5.0)] * 3
    fleet.siblings["a"].acts = [Overloaded("full", retry_s)]
    for now in (0.0, away_s - 0.01):
        fleet.clock.now = now
        with pytest.raises(Overloaded):
            fleet.score(ask_for(9))
        assert len(fleet.siblings["a"].seen) == 1
    fleet.clock.now = away_s
    fleet.score(ask_for(9))
    assert len(fleet.siblings["a"].seen) == 2


def test_a_request_is_offered_to_a_replica_that_has_not_refused_lately() -> None:
    fleet = Fleet(num_siblings=2)
    fleet.here.acts = [Overloaded("full", 5.0)] * 3
    for sibling in fleet.siblings.values():
        sibling.acts = [Overloaded("full", 5.0)]
    with pytest.raises(Overloaded):
        fleet.score(ask_for(9))
    with pytest.raises(Overloaded):
        fleet.score(ask_for(9))
    assert fleet.documents_seen == [18, 9, 9]


@pytest.mark.parametrize("fault", [Overloaded("full", 1.5), Invalid("no", "documents"), Empty("none")], ids=repr)
def test_a_fault_comes_out_of_another_process_as_it_was(fault: RequestError) -> None:
    copy = pickle.loads(pickle.dumps(fault))
    assert (type(copy), str(copy), vars(copy)) == (type(fault), str(fault), vars(fault))


def test_an_answer_comes_out_of_another_process_as_it_was() -> None:
    answer = answer_to(ask_for(20))
    copy = pickle.loads(pickle.dumps(answer))
    assert same(copy, answer)
    assert copy.timing == answer.timing
