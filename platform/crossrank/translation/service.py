"""A translator that is paid by the request: what it is to the job that paces, pays, retries and keeps.

The service does one request and never a second: the rate, the retries, the budget and what is kept belong to the
whole job, however many workers ask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class FailureKind(StrEnum):
    """What came of one request."""

    TRANSLATED = "translated"
    THROTTLED = "throttled"
    """Too fast: not charged, and asked again more slowly, for as long as it takes."""
    BUSY = "busy"
    """The service failed and said so: not charged, and asked again for a while."""
    UNREACHABLE = "unreachable"
    """Nothing was sent: not charged, and tried again for a while."""
    UNANSWERED = "unanswered"
    """Nobody knows whether it was translated: counted as charged, and asked again for a while."""
    FAILED = "failed"
    """This text is not translated, now or ever."""
    REFUSED = "refused"
    """No text is translated: credentials, permission, language pair."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What came of one request: a translation, or one sentence."""

    kind: FailureKind
    text: str = ""
    """The translation, or what the service said."""


Ask = Callable[[str], ServiceAnswer]
"""Translates one text by one request. Raises nothing."""


class TranslationService(Protocol):
    """Asks; lives in a worker and is called by several of its threads."""

    def ask(self, text: str) -> ServiceAnswer:
        """Translate one text by one request. Raises nothing."""


class PaidBackend(Protocol):
    """A service, before it is asked: small enough to be sent to every worker."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides a translation beside the text: name, languages, settings. Part of a memory's keys."""

    @property
    def limit_bytes(self) -> int:
        """UTF-8 bytes of the longest text of a request."""

    def check(self) -> None:
        """Refuse settings that cannot work, whatever the account.

        Raises:
            UserError: with one sentence.
        """

    def here(self) -> PaidBackend:
        """Itself with all that workers need of this machine's settings, once something is to be asked.

        Raises:
            UserError: no credentials, no region; the rest is said by the first text that is asked for.
        """

    def load(self, threads: int) -> TranslationService:
        """Make the service, in a worker whose so many threads call it at once."""
