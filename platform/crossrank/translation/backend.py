"""The interface of a back-end, for the job that runs it and the memory that keeps its translations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Keep = Callable[[Sequence[tuple[int, "Outcome"]]], None]
"""Takes outcomes, each with the place of its text; returns when they are durably in the memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one text: its translation, or why there is none and never will be."""

    text: str | None
    error: str | None = None


class Translator(Protocol):
    """Translates; lives in a worker."""

    def translate(self, texts: Sequence[str], keep: Keep) -> None:
        """Translate each text, and call `keep` once for each as soon as it is done.

        Raises:
            CrossrankError: nothing more can be translated, such as no permission or no budget.
        """


class Backend(Protocol):
    """A translator that is not loaded yet: small enough to be sent to every worker."""

    @property
    def identity(self) -> dict[str, Any]:
        """Everything but the text that decides a translation: name, model, languages, settings. Part of memory keys."""

    def check(self) -> None:
        """Refuse what cannot work, before anything is translated or paid.

        Raises:
            UserError: with one sentence.
        """

    def load(self) -> Translator:
        """Make the translator, in a worker."""
