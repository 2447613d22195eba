"""Fan-out over replicas: a large request is split over all, and one that this replica refuses is offered to another.

The proxy in front of the replicas counts requests, and one of 10,000 documents counts as much as one of 10. What it
cannot know is put right here, between the HTTP surface and the service of a replica. A slice that another replica asks
for goes to the service straight, so that nothing is split or handed on twice.

Shape letters: C documents of one request, S slices.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crossrank.serving.errors import Expired, Invalid, NotReady, Overloaded, RequestError
from crossrank.serving.metrics import Metrics
from crossrank.serving.request import ScoringRequest, ScoringResponse
from crossrank.serving.service import LATE, Deadlines, ScoringService

SLICE_S = 0.5
"""Seconds of work that a slice has at least; a request with two such slices is split."""
LEAST_AWAY_S = 0.25
"""Seconds for which a replica that refused is not asked again, at least: under deep overload a refusal is cheap."""
MOST_PLACES = 3
"""Replicas that are asked to score one slice, before the request is refused."""


class Lost(Exception):
    """Another replica died or cannot be reached, and nobody knows how far it came."""


class FanOutScorer(Protocol):
    """Scorer of this replica. `ScoringService` is one."""

    @property
    def deadlines(self) -> Deadlines:
        """Seconds that a request without a timeout gets, and that one may ask for."""

    async def score(self, request: ScoringRequest) -> ScoringResponse:
        """The scores, in the order of the documents. Raises a `RequestError`."""


class Siblings(Protocol):
    """The other replicas."""

    async def names(self) -> Sequence[str]:
        """Names of the other replicas that are there now. It is called for every large request, so let it be cheap."""

    async def score(self, name: str, request: ScoringRequest) -> ScoringResponse:
        """Score with the service of that replica. Raises its `RequestError`, or `Lost`.

        Cancelling the call cancels the work.
        """


class FanOut:
    """Scores requests with all replicas."""

    def __init__(
        self,
        local: FanOutScorer,
        siblings: Siblings,
        seconds_of: Callable[[ScoringRequest], NDArray[np.float64]],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A service with siblings.

        Args:
            seconds_of: seconds of work in each document of a request, shape (C,); zeros while the speed is not known.
        """
        self._local = local
        self._siblings = siblings
        self._seconds_of = seconds_of
        self._metrics = metrics
        self._clock = clock
        self._away: dict[str, float] = {}  # until when not to ask a replica
        self._turn = 0

    async def score(self, request: ScoringRequest) -> ScoringResponse:
        """The scores of a request, in the order of its documents.

        Raises:
            RequestError: refused by all replicas that were asked, expired, or failed, as from `ScoringService.score`.
        """
        began = self._clock()
        deadline = began + self._timeout_s(request)
        seconds_C = self._seconds_of(request)
        seconds = float(seconds_C.sum())
        if seconds < 2 * SLICE_S or not _can_be_split(request):
            return await self._score_whole(request, deadline)
        names = await self._free()
        slices = split(request, seconds_C, min(len(names) + 1, int(seconds / SLICE_S)))
        if len(slices) == 1:
            return await self._score_whole(request, deadline)
        try:
            answers = await self._score_all(slices, names, deadline)
        except Overloaded as refusal:
            # One replica may have room for the whole where several have none for all the slices: else large requests
            # would be refused far more often than small ones.
            try:
                return await self._score_whole(request, deadline)
            except (Invalid, Overloaded) as again:  # Invalid: too much for one replica, which is no fault of its sender
                raise min(refusal, again, key=_retry_s) from None
        self._metrics.fanned_out()
        return merged(request, answers, self._clock() - began)

    async def _score_whole(self, request: ScoringRequest, deadline: float) -> ScoringResponse:
        """The answer of this replica, or of one other where this one refuses."""
        try:
            return await self._score_at(None, request, deadline)
        except Overloaded as refusal:
            return await self._offer(request, deadline, refusal)

    async def _score_all(
        self, slices: Sequence[ScoringRequest], names: Sequence[str], deadline: float
    ) -> list[ScoringResponse]:
        """The answers to all slices; the first is scored here. When one fails, or nobody waits, all are cancelled."""
        places: list[str | None] = [None, *names]
        try:
            async with asyncio.TaskGroup() as group:
                scoring = [
                    group.create_task(self._score_slice(part, place, names, deadline))
                    for part, place in zip(slices, places, strict=False)
                ]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in scoring]

    async def _score_slice(
        self, request: ScoringRequest, place: str | None, names: Sequence[str], deadline: float
    ) -> ScoringResponse:
        """The answer to a slice at `place`, or where that replica is gone or refuses, here or at another."""
        refusals: list[RequestError] = []
        for candidate in list(dict.fromkeys([place, None, *names]))[:MOST_PLACES]:
            try:
                return await self._score_at(candidate, request, deadline)
            except Lost:
                pass
            except (Overloaded, NotReady) as refusal:
                refusals.append(refusal)
        raise min(refusals, key=_retry_s)  # there is one: nobody is lost here

    async def _offer(self, request: ScoringRequest, deadline: float, refusal: Overloaded) -> ScoringResponse:
        """The answer of one other replica to what was refused here."""
        names = await self._free()
        if not names:
            raise refusal
        try:
            answer = await self._score_at(names[0], request, deadline)
        except (Lost, NotReady):
            raise refusal from None
        except Overloaded as again:
            raise min(refusal, again, key=_retry_s) from None
        self._metrics.overflowed()
        return answer

    async def _score_at(self, place: str | None, request: ScoringRequest, deadline: float) -> ScoringResponse:
        """The answer of one replica, None for this one, in the time that is left."""
        left_s = deadline - self._clock()
        if left_s <= 0:
            raise Expired(LATE)
        request = replace(request, timeout_s=left_s)
        if place is None:
            return await self._local.score(request)
        try:
            async with asyncio.timeout(left_s):  # the replica keeps the deadline itself, unless it hangs
                return await self._siblings.score(place, request)
        except TimeoutError:
            raise Expired(LATE) from None
        except Overloaded as refusal:
            self._away[place] = self._clock() + max(refusal.retry_after_s, LEAST_AWAY_S)
            raise
        except (Lost, NotReady):
            self._away[place] = self._clock() + LEAST_AWAY_S
            raise

    async def _free(self) -> list[str]:
        """Replicas to ask, each in its turn first: all but those that refused or were lost a moment ago."""
        now = self._clock()
        names = await self._siblings.names()
        self._away = {name: until for name, until in self._away.items() if name in names and now < until}
        self._turn += 1
        turn = self._turn % max(len(names), 1)
        return [name for name in (*names[turn:], *names[:turn]) if name not in self._away]

    def _timeout_s(self, request: ScoringRequest) -> float:
        deadlines = self._local.deadlines
        return deadlines.default_s if request.timeout_s is None else min(request.timeout_s, deadlines.most_s)


def estimate(service: ScoringService) -> Callable[[ScoringRequest], NDArray[np.float64]]:
    """Function that gives the seconds of work in each document of a request, shape (C,), by the measured speed."""

    def seconds_of(request: ScoringRequest) -> NDArray[np.float64]:
        rate = service.engine.tokens_per_second
        return service.estimated_tokens_C(request) / rate if rate else np.zeros(len(request.documents))

    return seconds_of


def split(request: ScoringRequest, seconds_C: NDArray[np.float64], num_slices: int) -> list[ScoringRequest]:
    """Cut a request into at most so many slices of about equal work, each of consecutive documents.

    No slice is empty, and together they hold each document once, in order. A slice has at most the mean work and that
    of one document more.
    """
    ends_C = np.cumsum(seconds_C)
    shares_S = ends_C[-1] * np.arange(1, num_slices) / max(num_slices, 1)
    cuts = np.unique(np.searchsorted(ends_C, shares_S, side="left") + 1).tolist()
    edges = [0, *(cut for cut in cuts if cut < len(request.documents)), len(request.documents)]
    has_one_query = len(request.queries) == 1
    return [
        replace(
            request,
            queries=request.queries if has_one_query else request.queries[first:end],
            documents=request.documents[first:end],
        )
        for first, end in pairwise(edges)
    ]


def merged(request: ScoringRequest, answers: Sequence[ScoringResponse], total_s: float) -> ScoringResponse:
    """Join the answers to the slices of a request into the answer to it; its timing is that of the slowest slice.

    Args:
        total_s: seconds from the first slice sent to the last answer.
    """
    query_cuts = [answer.query_cut for answer in answers]
    slowest = max((answer.timing for answer in answers), key=lambda timing: timing.total_s)
    return ScoringResponse(
        logits_C=np.concatenate([answer.logits_C for answer in answers]),
        tokens_C=np.concatenate([answer.tokens_C for answer in answers]),
        cut_C=np.concatenate([answer.cut_C for answer in answers]),
        chunks_C=np.concatenate([answer.chunks_C for answer in answers]),
        query_cut=query_cuts[0] if len(request.queries) == 1 else sum(query_cuts),  # each slice was cut the one query
        num_characters=sum(answer.num_characters for answer in answers),
        timing=replace(slowest, total_s=total_s),
    )


def _can_be_split(request: ScoringRequest) -> bool:
    # A refusal of a document that does not fit names its number, and a slice would name another.
    return request.cutting.documents or request.cutting.long_document == "chunk_max"


def _retry_s(refusal: RequestError) -> float:
    """Seconds until a refusal is over, by which the soonest is chosen; infinity where it does not say."""
    return refusal.retry_after_s if isinstance(refusal, Overloaded) else float("inf")
