"""The interface of a translator that is paid by the request, for the job that paces, pays, retries and keeps.

The service does one request and never a second: the rate, the retries, the budget and what is kept belong to the
whole job, however many workers ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class FailureKind(StrEnum):
    """How one request ended."""

    TRANSLATED = "translated"
    THROTTLED = "throttled"
    """The request was too fast: not charged, and asked again more slowly, for as long as it takes."""
    BUSY = "busy"
    """The service failed and said so: not charged, and asked again for a while."""
    UNREACHABLE = "unreachable"
    """Nothing was sent: not charged, and tried again for a while."""
    UNANSWERED = "unanswered"
    """Nobody knows whether it was translated: counted as charged, and asked again for a while."""
    FAILED = "failed"
    """The service does not translate this text, now or ever."""
    REFUSED = "refused"
    """The service translates no text: credentials, permission, language pair."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """The answer to one request: a translation, or one sentence."""

    kind: FailureKind
    text: str = ""
    """The translation, or what the service said."""


Ask = Callable[[str], ServiceAnswer]
"""Translates one text by one request. Raises nothing."""


class TranslationService(Protocol):
    """A client of the service; lives in a worker and is called by several of its threads."""

    def ask(self, text: str) -> ServiceAnswer:
        """Translate one text by one request. Raises nothing."""


class PaidBackend(Protocol):
    """A service, before it is asked: small enough to be sent to every worker."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything but the text that decides a translation: name, languages, settings. Part of memory keys."""

    @property
    def limit_bytes(self) -> int:
        """UTF-8 bytes of the longest text of a request."""

    def check(self) -> None:
        """Refuse settings that cannot work, whatever the account.

        Raises:
            UserError: with one sentence.
        """

    def with_local_settings(self) -> PaidBackend:
        """The back-end with all that workers need of this machine's settings; called once something is to be asked.

        Raises:
            UserError: no credentials, no region. Whether they are right is known once the first text is asked for.
        """

    def load(self, threads: int) -> TranslationService:
        """Make the service, in a worker of which this many `threads` call it at once."""
