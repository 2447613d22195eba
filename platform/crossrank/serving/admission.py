"""Who is let in: by tokens, before any work, and with an honest word about when to come back.

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
"""Before the first request was counted. English has about 0.25, Korean 0.6 to 1 by the tokenizers of XLM-R and BERT."""
RATIO_WEIGHT = 0.05
"""What one request counts in the measured ratio."""
TOKENS_PER_CHARACTER = (0.1, 4.0)
"""Between these is every text that is one: half of English's, and a token for each byte. White space and words that
the tokenizer does not know have none, and without a bound a few thousand of them would make everything seem free."""
SHARE_OF_UNIMPORTANT = 0.5
SHARE_FOR_WAITING = 20 / 27
"""Of what the model surely does until its deadline, what a request may wait for: two thirds of its time where the speed
is trusted. Were it all that its own work leaves over, a queue that is full would let in small requests alone."""
DOUBT = 2.0
"""How often its deadline a request may seem to take, alone on an idle server."""
LEAST_RETRY_S = 0.05


class Backlog(Protocol):
    """What waits for one model. `Engine` is one."""

    @property
    def backlog_tokens(self) -> int:
        """Tokens that are queued or being scored."""

    @property
    def tokens_per_second(self) -> float:
        """Measured; 0 while nothing was."""

    @property
    def sure_of_speed(self) -> float:
        """Part of it that promises are made with."""

    def promised(self) -> list[tuple[float, int]]:
        """The same tokens by the moment at which they are due; minus infinity for those being scored."""


class Permit:
    """The place of one request, from the door until its tokens are in the queue or it is refused."""

    def __init__(self, admission: Admission, deadline: float, tokens: int) -> None:
        self._admission = admission
        self.deadline = deadline
        self.tokens = tokens

    def release(self) -> None:
        """Its tokens are in the queue now, where they are counted, or it has ended. Twice does nothing."""
        self._admission.forget(self)


class Admission:
    """Admits requests against the backlog of one model."""

    def __init__(self, backlog: Backlog, queue_s: float = QUEUE_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Admission before one model.

        Args:
            queue_s: seconds of work that may wait.
            clock: the one of the deadlines in the backlog.
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
            tokens: that it will make the model read, special tokens included.
            priority: above 0 it may fill but a part of the queue, so that it is shed first.

        Raises:
            Overloaded: as much waits as may, or it would wait past its deadline.
            Invalid: it takes longer than its deadline on an idle server, so that coming back does not help.
        """
        with self._lock:
            self._refuse(tokens, timeout_s, self._queue_s * (SHARE_OF_UNIMPORTANT if priority > 0 else 1.0))
            return self._let_in(tokens, timeout_s)

    def let_in(self, tokens: int, timeout_s: float) -> Permit:
        """Let in what is never refused: the server's own pairs, that warm it up or tell whether it is well."""
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
        surely_done = self._backlog.sure_of_speed * rate * timeout_s
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
        """Whether the order of the deadlines has room for it: it is in time, and makes nobody late who was not."""
        now = self._clock()
        promised = self._backlog.promised() + [(permit.deadline, permit.tokens) for permit in self._door]
        due_T, tokens_T = np.array(sorted(promised)).T
        time_T, ends_T = due_T - now, np.cumsum(tokens_T)
        ahead = float(tokens_T[time_T <= timeout_s].sum())
        can_T = self._backlog.sure_of_speed * rate * time_T
        harmed_T = (time_T > timeout_s) & (ends_T <= can_T) & (ends_T + tokens > can_T)
        return ahead <= most_ahead and not harmed_T.any()
