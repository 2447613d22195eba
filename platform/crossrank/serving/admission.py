"""Admission of requests by their tokens, before any work, with an honest word about when to come back.

A request costs the tokens that it will make the model read. Before they are counted they are estimated from its
characters, by the ratio measured on the requests before it.

To be let in is a promise: to be scored before its deadline, if the model is as fast as measured. The queue keeps it by
going over to the order of the deadlines when time is short, so it is given when that order has room for one more.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np

from crossrank.serving.errors import Invalid, Overloaded

QUEUE_S = 20.0
"""Seconds of measured work that may wait."""
FIRST_TOKENS_PER_CHARACTER = 0.35
"""Ratio before a request was counted. English has about 0.25, Korean 0.6 to 1 (tokenizers of XLM-R and BERT)."""
RATIO_WEIGHT = 0.05
"""Weight of one request in the measured ratio."""
TOKENS_PER_CHARACTER = (0.1, 4.0)
"""Bounds of the measured ratio: half of English's, and a token for each byte. White space and words that the tokenizer
does not know have no tokens, and without a bound a few thousand of them would make everything seem free."""
SHARE_OF_UNIMPORTANT = 0.5
"""Share of the queue that requests with a priority above 0 may fill."""
SHARE_FOR_WAITING = 20 / 27
"""Share of the work that the model surely does until a request's deadline which may be ahead of it: two thirds of its
time where the speed is trusted. With all that its own work leaves, a full queue would admit small requests alone."""
DOUBT = 2.0
"""Multiple of its deadline that a request may seem to take on an idle server, since the measured speed may be low."""
LEAST_RETRY_S = 0.05
"""Seconds after which a refused request may come back, at least."""


class Backlog(Protocol):
    """Work that waits for one model. `Engine` is one."""

    @property
    def backlog_tokens(self) -> int:
        """Tokens that are queued or being scored."""

    @property
    def tokens_per_second(self) -> float:
        """Measured speed; 0 while nothing was measured."""

    @property
    def speed_share(self) -> float:
        """Share of the measured speed that promises are made with, 0 to 1."""

    def promised(self) -> list[tuple[float, int]]:
        """Moments at which the backlog is due, each with its tokens; minus infinity for those being scored."""


class Permit:
    """Place of a request, from its admission until its tokens are in the queue or it has ended."""

    def __init__(self, admission: Admission, deadline: float, tokens: int) -> None:
        self._admission = admission
        self.deadline = deadline
        self.tokens = tokens

    def release(self) -> None:
        """Give the place back: the queue counts the tokens now, or the request has ended. Twice does nothing."""
        self._admission.forget(self)


class Admission:
    """Admits requests against the backlog of one model."""

    def __init__(self, backlog: Backlog, queue_s: float = QUEUE_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Admission before one model.

        Args:
            queue_s: seconds of work that may wait.
            clock: clock of the deadlines in the backlog, in seconds.
        """
        self._backlog = backlog
        self._queue_s = queue_s
        self._clock = clock
        self._ratio = FIRST_TOKENS_PER_CHARACTER
        self._door: set[Permit] = set()
        self._at_the_door = 0  # whole tokens: a sum of fractions would leave a crumb that is never released
        self._lock = threading.Lock()

    @property
    def waiting_tokens(self) -> int:
        """Tokens queued, being scored, or admitted and not yet counted."""
        return self._backlog.backlog_tokens + self._at_the_door

    @property
    def tokens_per_character(self) -> float:
        return self._ratio

    @property
    def max_queued_tokens(self) -> int:
        """Tokens that may wait; 0 while the speed is not known."""
        return int(self._queue_s * self._backlog.tokens_per_second)

    def estimate(self, num_characters: int) -> int:
        """The tokens that so many characters make, without special tokens."""
        return math.ceil(num_characters * self._ratio)

    def admit(self, tokens: int, timeout_s: float, priority: int = 0) -> Permit:
        """Let a request in.

        Args:
            tokens: tokens that the request will make the model read, special tokens included.
            timeout_s: seconds until its deadline.
            priority: above 0 it may fill only `SHARE_OF_UNIMPORTANT` of the queue, so that it is shed first.

        Raises:
            Overloaded: as much work waits as may, or the request would wait past its deadline.
            Invalid: the request takes longer than its deadline on an idle server, so coming back does not help.
        """
        with self._lock:
            self._refuse(tokens, timeout_s, self._queue_s * (SHARE_OF_UNIMPORTANT if priority > 0 else 1.0))
            return self._let_in(tokens, timeout_s)

    def let_in(self, tokens: int, timeout_s: float) -> Permit:
        """Let in a request that is never refused: the server's own pairs, to warm it up or to check its health."""
        with self._lock:
            return self._let_in(tokens, timeout_s)

    def counted(self, num_characters: int, num_tokens: int) -> None:
        """Learn from texts that were tokenised; `num_tokens` without special tokens."""
        if num_characters:
            least, most = TOKENS_PER_CHARACTER
            ratio = min(max(num_tokens / num_characters, least), most)
            with self._lock:
                self._ratio += RATIO_WEIGHT * (ratio - self._ratio)

    def forget(self, permit: Permit) -> None:
        with self._lock:
            if permit in self._door:
                self._door.remove(permit)
                self._at_the_door -= permit.tokens

    def _let_in(self, tokens: int, timeout_s: float) -> Permit:
        permit = Permit(self, self._clock() + timeout_s, tokens)
        self._door.add(permit)
        self._at_the_door += tokens
        return permit

    def _refuse(self, tokens: int, timeout_s: float, queue_s: float) -> None:
        rate = self._backlog.tokens_per_second
        if not rate:
            return
        waiting = self.waiting_tokens
        # Alone, the benefit of the doubt: a rate that was measured on a bad day would refuse it for ever.
        if tokens / rate > timeout_s * (1.0 if waiting else DOUBT):
            raise Invalid(
                f"the request is about {tokens:,.0f} tokens, {tokens / rate:,.1f} s of work for this server, and its "
                f"deadline is {timeout_s:g} s; send fewer documents, or raise timeout_ms"
            )
        if not waiting:
            return
        surely_done = self._backlog.speed_share * rate * timeout_s
        most_ahead = min(SHARE_FOR_WAITING * surely_done, surely_done - tokens)
        # Room for it whatever is due first: then no promise can be broken, and that is all there is to know.
        too_much = waiting - queue_s * rate
        too_late = waiting - most_ahead
        surplus = max(too_much, too_late)
        # A whole token: seconds times a rate are never exact.
        if surplus < 1 or (too_much < 1 and self._is_in_time(tokens, timeout_s, most_ahead, rate)):
            return
        retry_s = max(min(surplus, waiting) / rate, LEAST_RETRY_S)  # an empty queue lets it in
        raise Overloaded(
            f"{waiting / rate:,.1f} s of work wait here; send the request again in {retry_s:,.1f} s",
            retry_s,
            "queue" if too_much >= too_late else "deadline",
        )

    def _is_in_time(self, tokens: int, timeout_s: float, most_ahead: float, rate: float) -> bool:
        """Whether the order of the deadlines has room for the request: it is in time, and makes no other one late."""
        now = self._clock()
        promised = self._backlog.promised() + [(permit.deadline, permit.tokens) for permit in self._door]
        due_T, tokens_T = np.array(sorted(promised)).T
        time_T, ends_T = due_T - now, np.cumsum(tokens_T)
        ahead = float(tokens_T[time_T <= timeout_s].sum())
        can_T = self._backlog.speed_share * rate * time_T
        harmed_T = (time_T > timeout_s) & (ends_T <= can_T) & (ends_T + tokens > can_T)
        return ahead <= most_ahead and not harmed_T.any()
