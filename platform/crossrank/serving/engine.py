"""Thread that owns the model: it takes a batch, scores it, gives the logits back, and never ends by itself."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from crossrank.batching import Cost
from crossrank.errors import kind_of
from crossrank.serving.errors import Broken, NotReady
from crossrank.serving.fair_queue import Batch, Queue

logger = logging.getLogger(__name__)

RATE_MEMORY_S = 10.0
"""Seconds of work that a measured rate is the mean of; what was before fades."""


class Model(Protocol):
    """Interface that the engine needs of a model. `PairScorer` is one."""

    @property
    def cost(self) -> Cost:
        """Cost of a batch, by which batches are cut: whether padding is computed too."""

    @property
    def runs_ahead(self) -> bool:
        """Whether `launch` returns before the work is done, as on a GPU."""

    def launch(self, ids_B: Sequence[NDArray[np.int32]], first_B: NDArray[np.int32]) -> Any:
        """Begin to score a batch."""

    def read(self, launched: Any) -> NDArray[np.float32]:
        """Wait for the logits of a batch that was launched."""


class Launched(NamedTuple):
    """A batch that is being scored."""

    batch: Batch
    handle: Any
    began: float
    is_loaded: bool
    """Whether there was work for half a batch at least, so that its speed is that of the model and not of the load."""


class Engine:
    """Scores what is put into its queue. Start it once; stop it once."""

    def __init__(self, model: Model, budget: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.queue = Queue(budget, model.cost, clock, lambda: self.tokens_per_second)
        self._model = model
        self._clock = clock
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        # Of batches under load, fading: tokens, and the seconds that they took. Of all others: the best speed.
        self._measured = (0.0, 0.0)
        self._left_waiting: float | None = None
        """Moment at which the last batch ended, if more work waited then: the time until the next one begins is counted
        as work. None where none waited."""
        self._at_least = 0.0
        self.in_flight_tokens = 0
        """Tokens of batches that are being scored."""
        self.busy_since: float | None = None
        """Moment at which the batch that is being scored began; None while the model is idle."""
        self.last_success: float | None = None
        """Moment at which a batch was last scored without a fault; None before the first."""
        self.on_batch: Callable[[Batch, float], None] = lambda batch, seconds: None
        """Called after each scored batch with its seconds, from the model's thread."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every waiting ticket, finish the batch at hand, and join the thread."""
        self.queue.close(NotReady("the server is shutting down; send the request again"))
        if self._thread.ident is not None:  # else it never started
            self._thread.join()

    @property
    def backlog_tokens(self) -> int:
        """Tokens that are queued or being scored."""
        return self.queue.num_tokens + self.in_flight_tokens

    def promised(self) -> list[tuple[float, int]]:
        """Moments at which the backlog is due, each with its tokens; minus infinity for those being scored."""
        return [(-math.inf, self.in_flight_tokens), *self.queue.promised()]

    @property
    def tokens_per_second(self) -> float:
        """Speed over the last seconds of work under load; before such work the best that was seen; 0 before any."""
        tokens, seconds = self._measured
        return tokens / seconds if seconds else self._at_least

    @property
    def speed_share(self) -> float:
        """Share of the measured speed that promises are made with, 0 to 1."""
        return self.queue.speed_margin.share

    def _run(self) -> None:
        ahead: Launched | None = None
        while True:
            # On a GPU the next batch is cut and launched before the last one is read: it never waits for Python.
            batch = self.queue.take(wait=ahead is None)
            if batch is None and ahead is None:
                return
            if self.queue.waited:
                self._left_waiting = None
            ahead = self._step(batch, ahead)
            del batch  # an idle thread holds no request in memory

    def _step(self, batch: Batch | None, ahead: Launched | None) -> Launched | None:
        """Launch a batch and finish the one before; the result is what is still to be finished."""
        launched = None if batch is None else self._launch(batch)
        if ahead is not None:
            self._finish(ahead)
        if launched is None or self._model.runs_ahead:
            return launched
        self._finish(launched)
        return None

    def _launch(self, batch: Batch) -> Launched | None:
        began = self._clock()
        if self.busy_since is None:
            self.busy_since = began
        is_loaded = 2 * (batch.num_tokens + self.queue.num_tokens) >= self.queue.budget
        self.in_flight_tokens += batch.num_tokens
        try:
            return Launched(batch, self._model.launch(batch.ids_B, batch.first_B), began, is_loaded)
        except Exception as error:
            self.in_flight_tokens -= batch.num_tokens
            if not self.in_flight_tokens:
                self.busy_since = None
            self._fail(batch, error)
            return None

    def _finish(self, launched: Launched) -> None:
        batch, handle, began, is_loaded = launched
        try:
            logits_B = self._model.read(handle)
            if logits_B.shape != (len(batch.units_B),):
                raise ValueError(f"logits of shape {logits_B.shape} for {len(batch.units_B)} pairs")
        except Exception as error:
            self._idle(batch, self._clock())
            self._fail(batch, error)
            return
        now = self._clock()
        begins = self._left_waiting or max(began, self.busy_since or began)
        self._measure(batch.num_tokens, now - begins, is_loaded)
        self._left_waiting = now if self.queue.num_tokens or self.in_flight_tokens > batch.num_tokens else None
        self._idle(batch, now)
        finite_B = np.isfinite(logits_B)
        if finite_B.all():
            self.last_success = now
        for place in np.flatnonzero(~finite_B):
            batch.tickets_B[place].fail(Broken("the model gave a score that is not a number; look at its weights"))
        batch.deliver(logits_B)
        try:
            self.on_batch(batch, now - began)
        except Exception:
            logger.exception("what is called after a batch failed")

    def _fail(self, batch: Batch, error: Exception) -> None:
        self._left_waiting = None
        logger.exception("a batch of %d pairs failed", len(batch.units_B))
        batch.fail(Broken(f"the model failed on this request ({kind_of(error)}); send it again, or send less"))

    def _idle(self, batch: Batch, now: float) -> None:
        self.in_flight_tokens -= batch.num_tokens
        self.busy_since = now if self.in_flight_tokens else None

    def _measure(self, tokens: int, seconds: float, is_loaded: bool) -> None:
        seconds = max(seconds, 1e-6)
        if is_loaded:
            kept = max(0.0, 1.0 - seconds / RATE_MEMORY_S)
            self._measured = (kept * self._measured[0] + tokens, kept * self._measured[1] + seconds)
        else:  # one small request alone shows only that the model is at least so fast
            self._at_least = max(self._at_least, tokens / seconds)
