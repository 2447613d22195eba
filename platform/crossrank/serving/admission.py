"""Who is let in: by tokens, before any work, and with an honest word about when to come back.

A request costs the tokens that it will make the model read. Before they are counted they are estimated from its
characters, by the ratio measured on the requests before it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from crossrank.serving.faults import Invalid, Overloaded

QUEUE_S = 20.0
"""Seconds of measured work that may wait."""
FIRST_TOKENS_PER_CHARACTER = 0.35
"""Before the first request was counted. English has about 0.25, Korean 0.6 to 1 by the tokenizers of XLM-R and BERT."""
RATIO_WEIGHT = 0.05
"""What one request counts in the measured ratio."""
SHARE_OF_UNIMPORTANT = 0.5
DOUBT = 2.0
"""How often its deadline a request may seem to take, alone on an idle server."""
LEAST_RETRY_S = 0.05


class Permit:
    """The place of one request, from the door until its tokens are in the queue or it is refused."""

    def __init__(self, admission: Admission, tokens: int) -> None:
        self._admission = admission
        self.tokens = tokens

    def release(self) -> None:
        """Its tokens are in the queue now, where they are counted, or it has ended. Twice does nothing."""
        self._admission.forget(self)


class Admission:
    """Admits requests against the backlog of one model."""

    def __init__(
        self, backlog_tokens: Callable[[], int], tokens_per_second: Callable[[], float], queue_s: float = QUEUE_S
    ) -> None:
        """Admission before one engine.

        Args:
            backlog_tokens: tokens queued and being scored.
            tokens_per_second: measured; 0 while nothing was.
            queue_s: seconds of work that may wait.
        """
        self._backlog_tokens = backlog_tokens
        self._tokens_per_second = tokens_per_second
        self._queue_s = queue_s
        self._ratio = FIRST_TOKENS_PER_CHARACTER
        self._at_the_door = 0  # whole tokens: a sum of fractions would leave a crumb that is never released
        self._lock = threading.Lock()

    @property
    def waiting_tokens(self) -> int:
        """Tokens queued, being scored, or admitted and not yet counted."""
        return self._backlog_tokens() + self._at_the_door

    @property
    def tokens_per_character(self) -> float:
        return self._ratio

    @property
    def max_queued_tokens(self) -> int:
        """Tokens that may wait; 0 while the speed is not known."""
        return int(self._queue_s * self._tokens_per_second())

    def admit(
        self, num_characters: int, num_documents: int, special_tokens: int, timeout_s: float, priority: int = 0
    ) -> Permit:
        """Let a request in.

        Args:
            priority: above 0 it may fill but a part of the queue, so that it is shed first.

        Raises:
            Overloaded: as much waits as may, or it would wait past its deadline.
            Invalid: it takes longer than its deadline on an idle server, so that coming back does not help.
        """
        tokens = math.ceil(num_characters * self._ratio) + num_documents * special_tokens
        with self._lock:
            self._refuse(tokens, timeout_s, self._queue_s * (SHARE_OF_UNIMPORTANT if priority > 0 else 1.0))
            self._at_the_door += tokens
        return Permit(self, tokens)

    def counted(self, num_characters: int, num_tokens: int) -> None:
        """Learn from a request that was tokenised; `num_tokens` without special tokens."""
        if num_characters:
            with self._lock:
                self._ratio += RATIO_WEIGHT * (num_tokens / num_characters - self._ratio)

    def forget(self, permit: Permit) -> None:
        with self._lock:
            self._at_the_door -= permit.tokens
            permit.tokens = 0

    def _refuse(self, tokens: int, timeout_s: float, queue_s: float) -> None:
        rate = self._tokens_per_second()
        if not rate:
            return
        waiting = self.waiting_tokens
        # Alone, the benefit of the doubt: a rate that was measured on a bad day would refuse it for ever.
        if tokens / rate > timeout_s * (1.0 if waiting else DOUBT):
            raise Invalid(
                f"the request is about {tokens:,.0f} tokens, {tokens / rate:,.1f} s of work for this server, and its "
                f"deadline is {timeout_s:g} s; send fewer documents, or raise timeout_ms"
            )
        too_much = waiting + tokens - queue_s * rate
        too_late = waiting + tokens - timeout_s * rate
        # Alone it may be as large as its deadline allows.
        surplus = max(too_much, too_late) if waiting else 0.0
        if surplus >= 1:  # a whole token: seconds times a rate are never exact
            retry_s = max(min(surplus, waiting) / rate, LEAST_RETRY_S)  # an empty queue lets it in
            raise Overloaded(
                f"{waiting / rate:,.1f} s of work wait here; send the request again in {retry_s:,.1f} s", retry_s
            )
