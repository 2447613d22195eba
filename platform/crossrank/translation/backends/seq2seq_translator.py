"""A translation model at work.

Texts are cut into sentences, each different sentence is translated once, longest first in batches of neighbours in
length, and texts are put together again as their last sentence is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from crossrank.batching import cut
from crossrank.derived import Derived
from crossrank.errors import JobFailed
from crossrank.scoring.loading import ModelFolder
from crossrank.scoring.malloc_trim import Heap
from crossrank.scoring.precision import choose_dtype
from crossrank.translation.backend import Keep, Outcome
from crossrank.translation.backends.seq2seq_assembly import Assembly
from crossrank.translation.backends.seq2seq_budget import row_length, token_budget
from crossrank.translation.backends.seq2seq_decoding import DecodingSearch
from crossrank.translation.backends.seq2seq_loading import (
    SourceTokenizer,
    checked_ids,
    load_model,
    read_model,
    script_of,
)
from crossrank.translation.backends.seq2seq_sentences import has_words, sentences, shortened
from crossrank.translation.backends.seq2seq_writing import StopReason, WrittenTokens, write_by_beams, write_greedily
from crossrank.translation.splitter import Piece

OUTPUT_RATIO, OUTPUT_MORE = 3, 16
"""Longest output, in tokens: the tokens of its source times the first, plus the second. Translations with one
multilingual vocabulary keep within a factor of two; what goes beyond has lost the thread."""
LIMIT_STEP = 16
"""Step of the output limits, in tokens: limits are multiples of it, so that rows of like length have one limit."""
WINDOW_SENTENCES = 512
"""Sentences that are sorted by length together. Texts are done, and safe from a kill, window by window."""


def load_translator(
    folder: ModelFolder, source: str, target: str, search: DecodingSearch, device: str | None
) -> Seq2SeqTranslator:
    """The model of a folder in this process, on a GPU where there is one and `device` does not say otherwise."""
    reading = read_model(folder, source, target)
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    model = load_model(folder, choose_dtype(search.precision, place), place)
    budget = token_budget(model, place, reading.longest, search.num_beams)
    return Seq2SeqTranslator(folder.name, reading, model, search, target, budget)


class Seq2SeqTranslator:
    """A model that is loaded. Made by `load_translator`."""

    def __init__(
        self, name: str, reading: SourceTokenizer, model: Any, search: DecodingSearch, target: str, budget: Derived[int]
    ) -> None:
        self.budget = budget
        self._name = name
        self.reading = reading
        self.model = model
        self._search = search
        self._target = target
        self._script = script_of(name, model, reading)
        self._longest_output = min(search.max_new_tokens, reading.longest - len(self._script.begin))
        self._heap = Heap()

    def translate(self, texts: Sequence[str], keep: Keep) -> None:
        """Translate each text, and give it to `keep` as soon as its last sentence is done.

        A text with a sentence that cannot be translated whole gets that as its error, never a part of a translation.
        """
        for window in self._windows(texts):
            self._translate_window(window, keep)

    def encode(self, sources: Sequence[str]) -> list[list[int]]:
        """Token ids as the model reads them, language and end included."""
        if not sources:
            return []
        prefix = self.reading.direction.prefix
        ids = self.reading.tokenizer([prefix + source for source in sources])["input_ids"]
        return checked_ids(self._name, ids, self.model)

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        """The texts of tokens, without white space around them."""
        texts = self.reading.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def write(
        self, ids: Sequence[Sequence[int]], least: Sequence[int], most: Sequence[int]
    ) -> Iterator[tuple[int, WrittenTokens]]:
        """Write the output of each source, longest source first, with its place among `ids`.

        Args:
            ids: token ids of each source.
            least: tokens before which each output may not end.
            most: tokens at which each output is stopped.
        """
        # Beams are compared up to the limit of their batch, so what a row gets must not hang on its neighbours'.
        limits = sorted(set(most), reverse=True) if self._search.num_beams > 1 else [None]
        for limit in limits:
            places = [place for place in range(len(ids)) if limit is None or most[place] == limit]
            lengths = [row_length(len(ids[place]), self.budget.value) for place in places]
            for batch in cut(lengths, self.budget.value, unit="sentence"):
                chosen = [places[index] for index in batch]
                yield from zip(chosen, self._write_batch(chosen, ids, least, most), strict=True)
                self._heap.tidy()

    def _write_batch(
        self, places: list[int], ids: Sequence[Sequence[int]], least: Sequence[int], most: Sequence[int]
    ) -> list[WrittenTokens]:
        sources = [ids[place] for place in places]
        try:
            if self._search.num_beams > 1:
                return write_by_beams(self.model, self._script, sources, most[places[0]], self._search.num_beams)
            shortest, longest = [least[place] for place in places], [most[place] for place in places]
            return write_greedily(self.model, self._script, sources, shortest, longest)
        except torch.cuda.OutOfMemoryError as error:
            if len(places) == 1:
                raise JobFailed(
                    f"a sentence of {len(sources[0])} tokens does not fit the memory of the GPU beside {self._name}; "
                    f"use a larger one, precision bf16 or fewer beams"
                ) from error
        torch.cuda.empty_cache()
        middle = len(places) // 2
        return [
            written
            for half in (places[:middle], places[middle:])
            for written in self._write_batch(half, ids, least, most)
        ]

    def _windows(self, texts: Sequence[str]) -> Iterator[dict[int, list[Piece]]]:
        window: dict[int, list[Piece]] = {}
        held = 0
        for place, text in enumerate(texts):
            window[place] = sentences(text)
            held += len(window[place])
            if held >= WINDOW_SENTENCES:
                yield window
                window, held = {}, 0
        if window:
            yield window

    def _translate_window(self, window: dict[int, list[Piece]], keep: Keep) -> None:
        ids_of = self._ids({piece.text for pieces in window.values() for piece in pieces if has_words(piece.text)})
        fitting = {
            place: [part for piece in pieces for part in self._parts(piece, ids_of)] for place, pieces in window.items()
        }
        assembly = Assembly(fitting, self._target)
        if untouched := assembly.without_words():
            keep(untouched)
        asked = assembly.sentences
        ids_of |= self._ids(set(asked) - ids_of.keys())
        ids = [ids_of[text] for text in asked]
        short = [place for place, each in enumerate(ids) if len(each) <= self.reading.longest]
        for place in sorted(set(range(len(asked))) - set(short)):
            error = f"{len(ids[place])} tokens without a space or a comma, and the model reads {self.reading.longest}"
            if settled := list(assembly.settle(asked[place], Outcome(None, error))):
                keep(settled)
        most = [self._limit(len(ids[place])) for place in short]
        for index, written in self.write([ids[place] for place in short], [0] * len(short), most):
            if settled := list(assembly.settle(asked[short[index]], self._outcome(written))):
                keep(settled)

    def _ids(self, texts: set[str]) -> dict[str, list[int]]:
        ordered = sorted(texts)
        return dict(zip(ordered, self.encode(ordered), strict=True))

    def _parts(self, piece: Piece, ids_of: dict[str, list[int]]) -> list[Piece]:
        """A piece that the model can read; one that is too long for it is cut again, where it can be."""
        if len(ids_of.get(piece.text, ())) <= self.reading.longest:
            return [piece]
        return shortened(piece, lambda text: len(self.encode([text])[0]) <= self.reading.longest) or [piece]

    def _limit(self, source_tokens: int) -> int:
        limit = OUTPUT_RATIO * source_tokens + OUTPUT_MORE
        return min(-(-limit // LIMIT_STEP) * LIMIT_STEP, self._longest_output)

    def _outcome(self, written: WrittenTokens) -> Outcome:
        if written.stop is StopReason.LOOP:
            return Outcome(None, "the translation repeats itself without end")
        if written.stop is StopReason.LIMIT:
            return Outcome(None, f"the translation has no end within {len(written.tokens)} tokens")
        text = self.decode([written.tokens])[0]
        return Outcome(text) if text else Outcome(None, "the model wrote nothing")
