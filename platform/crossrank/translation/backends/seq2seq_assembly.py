"""Texts that wait for the translations of their sentences, and are put together when the last one comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from crossrank.translation.backend import Outcome
from crossrank.translation.backends.seq2seq_sentences import has_words
from crossrank.translation.splitter import Piece, join


class Assembly:
    """Some texts as pieces. A sentence that several of them have, or one has twice, is asked for once."""

    def __init__(self, pieces: Mapping[int, Sequence[Piece]], target: str) -> None:
        """Take the `pieces` of each text by its place; `target` decides whether sentences have a space between them."""
        self._pieces = pieces
        self._target = target
        self._outcomes: dict[str, Outcome] = {}
        self._waiting: dict[str, list[int]] = {}
        self._missing: dict[int, int] = {}
        for place, parts in pieces.items():
            needed = {part.text for part in parts if has_words(part.text)}
            self._missing[place] = len(needed)
            for text in needed:
                self._waiting.setdefault(text, []).append(place)

    @property
    def sentences(self) -> list[str]:
        """The sentences to translate, in an order that depends on nothing but the texts."""
        return sorted(self._waiting)

    def without_words(self) -> list[tuple[int, Outcome]]:
        """The texts that wait for nothing: digits, signs or white space alone. They stay as they are."""
        untouched = [place for place, missing in self._missing.items() if not missing]
        return [
            (place, Outcome("".join(part.text + part.after for part in self._pieces[place]))) for place in untouched
        ]

    def settle(self, sentence: str, outcome: Outcome) -> Iterator[tuple[int, Outcome]]:
        """The texts for which this was the last sentence, each with its outcome."""
        self._outcomes[sentence] = outcome
        for place in self._waiting.pop(sentence):
            self._missing[place] -= 1
            if not self._missing[place]:
                yield place, self._joined(place)

    def _joined(self, place: int) -> Outcome:
        pieces = self._pieces[place]
        translations: list[str] = []
        for number, piece in enumerate(pieces, start=1):
            outcome = self._outcomes[piece.text] if has_words(piece.text) else Outcome(piece.text)
            if outcome.text is None:
                where = f"sentence {number} of {len(pieces)}: " if len(pieces) > 1 else ""
                return Outcome(None, f"{where}{outcome.error}")
            translations.append(outcome.text)
        return Outcome(join(pieces, translations, self._target) + (pieces[-1].after if pieces else ""))
