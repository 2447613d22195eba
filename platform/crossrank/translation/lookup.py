"""`Lookup`: the texts of groups against the memory, whole or in pieces.

What is kept is what one request translates: a text, or the pieces of one that is too long for a request.

Shape letters: T texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossrank.translation.backend import Outcome
from crossrank.translation.keys import TextKeys, normalised
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory
from crossrank.translation.splitter import join, split

NOT_IN_MEMORY = "not in the translation memory"


class Unit(NamedTuple):
    """The text that one request translates, with its key."""

    text: str
    key: bytes


class Lookup:
    """Looks up texts under one or several identities, the first that has an answer giving it."""

    def __init__(
        self, memory: Memory, identities: Sequence[dict[str, Any]], target: str, limit_bytes: int | None, failures: bool
    ) -> None:
        """Look texts up in `memory`.

        Args:
            identities: identities of back-ends; the first is the one that translates what is missing.
            target: language of the translations, for joining pieces.
            limit_bytes: UTF-8 bytes of one request; None for no limit.
            failures: whether a text that is kept as untranslatable counts as answered.
        """
        self._memory = memory
        self._keys = [TextKeys(identity) for identity in identities]
        self._target = target
        self._limit_bytes = limit_bytes
        self._failures = failures

    def units(self, text: str) -> list[Unit]:
        """The units whose translations make up that of a text: the text itself, or its pieces."""
        [first, *_] = self._keys
        return [Unit(each, first.of(each)) for each in self._parts(normalised(text))]

    def entry(self, text: str, outcome: Outcome) -> Entry:
        """The entry of the memory for the text of a unit."""
        first = self._keys[0]
        return Entry(first.of(text), first.identity, text, outcome.text, outcome.error)

    def is_known(self, units: Sequence[Unit]) -> NDArray[np.bool_]:
        """Whether the memory has an answer. Shape (T,)."""
        known_T = self._memory.has([unit.key for unit in units], self._failures)
        for keys in self._keys[1:]:
            left = np.flatnonzero(~known_T).tolist()
            known_T[left] = self._memory.has([keys.of(units[each].text) for each in left], self._failures)
        return known_T

    def outcomes(self, texts: Iterable[str]) -> dict[str, Outcome]:
        """The outcome of each text; `NOT_IN_MEMORY` for one that nobody translated."""
        wanted = {text: self._parts(normalised(text)) for text in dict.fromkeys(texts)}
        parts = list(dict.fromkeys(part for each in wanted.values() for part in each))
        found = dict(zip(parts, self._answers(parts), strict=True))
        return {text: self._whole(text, [found[part] for part in each]) for text, each in wanted.items()}

    def _parts(self, text: str) -> list[str]:
        if self._limit_bytes is None or len(text) * 4 <= self._limit_bytes:
            return [text]
        pieces = split(text, self._limit_bytes)
        # A memory of another back-end may hold whole a text that this one would cut.
        if len(pieces) > 1 and any(self._memory.has([keys.of(text)], failures=False)[0] for keys in self._keys):
            return [text]
        return [piece.text for piece in pieces]

    def _answers(self, texts: list[str]) -> list[Outcome]:
        answers: list[Outcome | None] = [None] * len(texts)
        for keys in self._keys:
            left = [place for place, answer in enumerate(answers) if answer is None or answer.text is None]
            found = self._memory.answers([keys.of(texts[place]) for place in left])
            for place, answer in zip(left, found, strict=True):
                if answer is not None:
                    answers[place] = answer
        return [answer or Outcome(None, NOT_IN_MEMORY) for answer in answers]

    def _whole(self, text: str, answers: list[Outcome]) -> Outcome:
        if len(answers) == 1:
            return answers[0]
        errors = [answer.error for answer in answers if answer.text is None]
        if errors:
            return Outcome(None, f"{len(errors)} of {len(answers)} pieces: {errors[0]}")
        pieces = split(normalised(text), self._limit_bytes or 0)
        return Outcome(join(pieces, [answer.text or "" for answer in answers], self._target))
