"""Service of one model: admission, token ids, the queue and its engine behind one coroutine, without HTTP."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from crossrank.serving.admission import QUEUE_S, Admission, Permit
from crossrank.serving.encode import EncodedRequest, Encoder, encode, encoding, query_limit
from crossrank.serving.engine import Engine, Model
from crossrank.serving.errors import Abandoned, Expired, NotReady
from crossrank.serving.estimate import RateWindow, estimated_tokens_C
from crossrank.serving.fair_queue import Ticket
from crossrank.serving.incremental import one_of
from crossrank.serving.request import ScoringRequest, ScoringResponse, Timing
from crossrank.serving.tokens import shown_tokens

Result = TypeVar("Result")

INLINE_CHARACTERS = 20_000
"""Characters of a request that is tokenised at once: the hop to another thread and back would cost more."""
TOKENIZER_THREADS = max(1, (os.cpu_count() or 1) - 1)
"""Threads that tokenise larger requests. Each takes one step of a request, which then goes to the end of the line, so
no request waits for all of another."""
STALLED_S = 60.0
"""Seconds after which a batch that is still being scored will not end."""
FRESH_S = 30.0
"""Seconds for which a forward that succeeded is proof enough of health."""
LATE = "the deadline passed; raise timeout_ms, or send fewer documents"
PROBE = ScoringRequest(queries=("is it well?",), documents=("it is",), priority=-(2**31), timeout_s=10.0)


class ServedModel(Model, Protocol):
    """Interface that a service needs of a model. `PairScorer` is one."""

    name: str
    revision: str
    encoder: Encoder

    @property
    def budget(self) -> Any:
        """Token slots of a batch, with the reason."""

    def describe(self) -> dict[str, Any]:
        """Model, device and number format, for headers and /info."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a request may take."""

    default_s: float = 30.0
    """Seconds of a request that does not say."""
    most_s: float = 60.0
    """Seconds that a request may ask for at most."""
    queue_s: float = QUEUE_S
    """Seconds of measured work that may wait before requests are refused."""


class ScoringService:
    """Scores requests with one model. Make it, `await start()`, and `stop()` at the end."""

    def __init__(self, model: ServedModel, deadlines: Deadlines = Deadlines()) -> None:
        self.model = model
        self.deadlines = deadlines
        self.engine = Engine(model, model.budget.value)
        self.admission = Admission(self.engine, deadlines.queue_s)
        self._tokenizers = ThreadPoolExecutor(TOKENIZER_THREADS, thread_name_prefix="tokenizer")
        self._window = RateWindow.of(model.encoder)
        self._draining = False

    async def start(self) -> None:
        """Warm the model up, from one pair to a full batch, and measure its speed."""
        self.engine.start()
        await self.score(PROBE, patient=True)
        text = "how fast is this model on this machine? " * 8
        num = max(
            1,
            self.model.budget.value
            // len(encode(ScoringRequest(queries=("q",), documents=(text,)), self.model.encoder).ids_U[0]),
        )
        for _ in range(2):
            await self.score(ScoringRequest(queries=("q",), documents=(text,) * num, timeout_s=3600.0), patient=True)

    def stop(self) -> None:
        """Refuse what comes, end what waits, finish the batch at hand."""
        self._draining = True
        self.engine.stop()
        self._tokenizers.shutdown(wait=False)

    @property
    def query_limit(self) -> int:
        return query_limit(self.model.encoder)

    async def score(self, request: ScoringRequest, patient: bool = False) -> ScoringResponse:
        """The scores of a request, in the order of its documents.

        Args:
            patient: never refused for what it costs, and no deadline but its own: for warming up and trial pairs.

        Raises:
            RequestError: refused, expired, or failed; each with its own class.
        """
        self._refuse_when_draining()
        began = time.monotonic()
        timeout_s = self._timeout(request, patient)
        permit = self._permit(request, timeout_s, patient)
        try:
            encoded = await self._encode(request, began + timeout_s)
            self.admission.counted(request.num_text_characters, encoded.num_text_tokens)
            encoded_at = time.monotonic()
            ticket, ended = self._ticket(request, encoded, began + timeout_s)
            self.engine.queue.budget = self.model.budget.value  # lowered where a GPU ran out of memory
            self.engine.queue.put(ticket)
        finally:
            permit.release()
        await self._wait(ticket, ended, began + timeout_s)
        if ticket.fault is not None:
            raise ticket.fault
        now = time.monotonic()
        started = ticket.started or now
        timing = Timing(encoded_at - began, started - encoded_at, now - started, now - began)
        return _answer(request, encoded, ticket, timing)

    def estimated_tokens(self, request: ScoringRequest) -> int:
        """Tokens that a request will make the model read, estimated from its characters."""
        return math.ceil(self.estimated_tokens_C(request).sum())

    def estimated_tokens_C(self, request: ScoringRequest) -> NDArray[np.float64]:
        """Tokens that each document will make the model read, with its query; estimated from their characters."""
        return estimated_tokens_C(request, self.admission.tokens_per_character, self._window)

    async def show_tokens(self, texts: list[str], special: bool) -> list[list[dict[str, Any]]]:
        """The tokens of texts as `shown_tokens` has them, in the time that a request has by itself.

        Raises:
            RequestError: expired, or the server is shutting down.
        """
        tokenizer = self.model.encoder.tokenizer.hf
        deadline = time.monotonic() + self.deadlines.default_s
        return await self._in_pool(lambda: shown_tokens(tokenizer, texts, special), deadline)

    async def check(self) -> None:
        """Raise NotReady unless the model scored something lately, or does so now."""
        engine = self.engine
        now = time.monotonic()
        if self._draining:
            raise NotReady("the server is shutting down")
        if engine.busy_since is not None and now - engine.busy_since > STALLED_S:
            raise NotReady(f"the model has been busy with one batch for {now - engine.busy_since:.0f} s")
        if engine.busy_since is not None or (engine.last_success or -FRESH_S) > now - FRESH_S:
            return
        try:
            await self.score(PROBE, patient=True)
        except Exception as error:
            raise NotReady(f"the model fails on a trial pair: {error}") from error

    def _timeout(self, request: ScoringRequest, patient: bool) -> float:
        if request.timeout_s is None:
            return self.deadlines.default_s
        return request.timeout_s if patient else min(request.timeout_s, self.deadlines.most_s)

    def _permit(self, request: ScoringRequest, timeout_s: float, patient: bool) -> Permit:
        tokens = self.estimated_tokens(request)
        return (
            self.admission.let_in(tokens, timeout_s)
            if patient
            else self.admission.admit(tokens, timeout_s, request.priority)
        )

    async def _encode(self, request: ScoringRequest, deadline: float) -> EncodedRequest:
        if request.num_characters <= INLINE_CHARACTERS:
            return encode(request, self.model.encoder)
        steps = encoding(request, self.model.encoder)
        while True:
            encoded = await self._in_pool(lambda: one_of(steps), deadline)
            if encoded is not None:
                return encoded

    async def _in_pool(self, act: Callable[[], Result], deadline: float) -> Result:
        """Call a function in a thread of the tokenizers; one that has not begun by the deadline is never called."""
        self._refuse_when_draining()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.get_running_loop().run_in_executor(self._tokenizers, act)
        except TimeoutError:
            raise Expired(LATE) from None

    def _refuse_when_draining(self) -> None:
        if self._draining:
            raise NotReady("the server is shutting down; send the request again")

    def _ticket(
        self, request: ScoringRequest, encoded: EncodedRequest, deadline: float
    ) -> tuple[Ticket, asyncio.Event]:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def done(_: Ticket) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        return Ticket(encoded.ids_U, encoded.first_U, done, request.priority, deadline), ended

    async def _wait(self, ticket: Ticket, ended: asyncio.Event, deadline: float) -> None:
        queue = self.engine.queue
        try:
            await asyncio.wait_for(ended.wait(), deadline - time.monotonic())
        except TimeoutError:
            queue.withdraw(ticket, Expired(LATE))
        except asyncio.CancelledError:
            queue.withdraw(ticket, Abandoned("the client went away"))
            raise


def _answer(request: ScoringRequest, encoded: EncodedRequest, ticket: Ticket, timing: Timing) -> ScoringResponse:
    """Response from the logits of the pairs: a document's score is that of its best chunk."""
    num = len(request.documents)
    logits_C = np.full(num, -np.inf, dtype=np.float32)
    tokens_C = np.zeros(num, dtype=np.int32)
    np.maximum.at(logits_C, encoded.document_U, ticket.logits_U)
    np.add.at(tokens_C, encoded.document_U, ticket.lengths_U.astype(np.int32))
    return ScoringResponse(
        logits_C=logits_C,
        tokens_C=tokens_C,
        cut_C=encoded.cut_C,
        chunks_C=np.bincount(encoded.document_U, minlength=num).astype(np.int32),
        query_cut=encoded.query_cut,
        num_characters=request.num_characters,
        timing=timing,
    )
