"""What a back-end is, to the job that runs it and to the memory that keeps what it gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Keep = Callable[[Sequence[tuple[int, "Outcome"]]], None]
"""Takes outcomes, each with the place of its text; returns when they are durably in the memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one text: its translation, or why there is none and never will be."""

    text: str | None
    error: str | None = None


class Translator(Protocol):
    """Translates; lives in a worker."""

    def translate(self, texts: Sequence[str], keep: Keep) -> None:
        """Translate each text, telling `keep` of each, once, as soon as it is done.

        Raises:
            CrossrankError: nothing more can be translated, such as no permission or no budget.
        """


class Backend(Protocol):
    """Who translates, before it does: small enough to be sent to every worker."""

    @property
    def identity(self) -> dict[str, Any]:
        """All that decides a translation beside the text: name, model, languages, settings. Part of a memory's keys."""

    def check(self) -> None:
        """Refuse what cannot work, before anything is translated or paid.

        Raises:
            UserError: with one sentence.
        """

    def load(self) -> Translator:
        """Make the translator, in a worker."""
