"""One model, ready to answer: admission, token ids, the queue and its engine behind one coroutine, without HTTP."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from crossrank.serving.admission import QUEUE_S, Admission
from crossrank.serving.ask import Answer, Ask, Timing
from crossrank.serving.encode import EncodedAsk, Encoder, encode, query_limit
from crossrank.serving.engine import Engine, Model
from crossrank.serving.fair_queue import Ticket
from crossrank.serving.faults import Abandoned, Expired, Fault, NotReady

INLINE_CHARACTERS = 20_000
"""Texts that are tokenised at once: the hop to another thread and back costs more than they take."""
STALLED_S = 60.0
"""A batch that runs for so long will not end."""
FRESH_S = 30.0
"""A forward that succeeded so lately is proof enough of health."""
PROBE = Ask(queries=("is it well?",), documents=("it is",), priority=-(2**31), timeout_s=10.0)


class ServedModel(Model, Protocol):
    """What a service needs of a model. `Reranker` is one."""

    name: str
    revision: str
    encoder: Encoder

    @property
    def budget(self) -> Any:
        """Token slots of a batch, with the reason."""

    def describe(self) -> dict[str, Any]:
        """What it is and how it computes."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that a request may take."""

    default_s: float = 30.0
    most_s: float = 60.0
    queue_s: float = QUEUE_S
    """Seconds of measured work that may wait before requests are refused."""


class Service:
    """Scores asks with one model. Make it, `await start()`, and `stop()` at the end."""

    def __init__(self, model: ServedModel, deadlines: Deadlines = Deadlines(), tokenizer_threads: int = 1) -> None:
        self.model = model
        self.deadlines = deadlines
        self.engine = Engine(model, model.budget.value)
        self.admission = Admission(self.engine, deadlines.queue_s)
        self._tokenizers = ThreadPoolExecutor(tokenizer_threads, thread_name_prefix="tokenizer")
        # Of a pair of empty texts the model reads what it puts around every pair.
        self._special_tokens = encode(Ask(queries=("",), documents=("",)), model.encoder).num_tokens
        self._draining = False

    async def start(self) -> None:
        """Warm the model up, from one pair to a full batch, and measure its speed."""
        self.engine.start()
        await self.score(PROBE)
        text = "how fast is this model on this machine? " * 8
        num = max(
            1,
            self.model.budget.value // len(encode(Ask(queries=("q",), documents=(text,)), self.model.encoder).ids_U[0]),
        )
        for _ in range(2):
            await self.score(Ask(queries=("q",), documents=(text,) * num, timeout_s=3600.0), patient=True)

    def stop(self) -> None:
        """Refuse what comes, end what waits, finish the batch at hand."""
        self._draining = True
        self.engine.stop()
        self._tokenizers.shutdown(wait=False)

    @property
    def query_limit(self) -> int:
        return query_limit(self.model.encoder)

    async def score(self, ask: Ask, patient: bool = False) -> Answer:
        """The scores of a request, in the order of its documents.

        Args:
            patient: for warming up: no limit but the request's own.

        Raises:
            Fault: refused, expired, or failed; each with its own class.
        """
        if self._draining:
            raise NotReady("the server is shutting down; send the request again")
        began = time.monotonic()
        timeout_s = self._timeout(ask, patient)
        admission = self.admission
        num_characters = self._characters(ask)
        permit = admission.admit(self.estimated_tokens(ask), timeout_s, ask.priority)
        try:
            encoded = await self._encode(ask)
            admission.counted(num_characters, encoded.num_tokens - len(encoded.ids_U) * self._special_tokens)
            encoded_at = time.monotonic()
            ticket, ended = self._ticket(ask, encoded, began + timeout_s)
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
        return _answer(ask, encoded, ticket, timing)

    def estimated_tokens(self, ask: Ask) -> int:
        """What a request will make the model read, by its characters."""
        return self.admission.estimate(self._characters(ask)) + len(ask.documents) * self._special_tokens

    def _characters(self, ask: Ask) -> int:
        return ask.characters_within(int(self.model.encoder.max_length / self.admission.tokens_per_character))

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
        except Fault as fault:
            raise NotReady(f"the model fails on a trial pair: {fault}") from fault

    def _timeout(self, ask: Ask, patient: bool) -> float:
        if ask.timeout_s is None:
            return self.deadlines.default_s
        return ask.timeout_s if patient else min(ask.timeout_s, self.deadlines.most_s)

    async def _encode(self, ask: Ask) -> EncodedAsk:
        if ask.num_characters <= INLINE_CHARACTERS:
            return encode(ask, self.model.encoder)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._tokenizers, encode, ask, self.model.encoder)

    def _ticket(self, ask: Ask, encoded: EncodedAsk, deadline: float) -> tuple[Ticket, asyncio.Event]:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()

        def done(_: Ticket) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

        return Ticket(encoded.ids_U, encoded.first_U, done, ask.priority, deadline), ended

    async def _wait(self, ticket: Ticket, ended: asyncio.Event, deadline: float) -> None:
        queue = self.engine.queue
        try:
            await asyncio.wait_for(ended.wait(), deadline - time.monotonic())
        except TimeoutError:
            queue.withdraw(ticket, Expired("the deadline passed; raise timeout_ms, or send fewer documents"))
        except asyncio.CancelledError:
            queue.withdraw(ticket, Abandoned("the client went away"))
            raise


def _answer(ask: Ask, encoded: EncodedAsk, ticket: Ticket, timing: Timing) -> Answer:
    """From pairs to documents: the best chunk is a document's score."""
    num = len(ask.documents)
    logits_C = np.full(num, -np.inf, dtype=np.float32)
    tokens_C = np.zeros(num, dtype=np.int32)
    np.maximum.at(logits_C, encoded.document_U, ticket.logits_U)
    np.add.at(tokens_C, encoded.document_U, ticket.lengths_U.astype(np.int32))
    return Answer(
        logits_C=logits_C,
        tokens_C=tokens_C,
        cut_C=encoded.cut_C,
        chunks_C=np.bincount(encoded.document_U, minlength=num).astype(np.int32),
        query_cut=encoded.query_cut,
        num_characters=ask.num_characters,
        timing=timing,
    )
