"""A scorer whose scores a reader can compute, in place of a model: for tests without torch, and with Ray."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from crossrank.scoring.interfaces import EncodedText, PlainText, Scored, Scorer, Tokens
from crossrank.scoring.spec import ScorerSpec


class OverlapEncoder:
    """The words of a text, split at white space, as tokens. Nothing else is taken from a text: case counts.

    As with a model, a query is cut to half the window and a document to what the query leaves of it.
    There are no special tokens.
    """

    def __init__(self, max_length: int = 512, keeps_tokens: bool = True) -> None:
        self.max_length = max_length
        self.keeps_tokens = keeps_tokens
        self.num_texts = 0
        """Documents made ready so far."""

    @property
    def store_key(self) -> str | None:
        return f"overlap-{self.max_length}" if self.keeps_tokens else None

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return [words_of(text, self.max_length // 2) for text in texts]

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        self.num_texts += len(texts)
        if self.keeps_tokens:
            return [words_of(text, self.max_length) for text in texts]
        return [PlainText(text) for text in texts]


def words_of(text: str, limit: int) -> Tokens:
    """The first `limit` words of a text: 31 bits of a checksum each, the same in every process."""
    words = text.split()
    ids = [crc32(word.encode()) >> 1 for word in words[:limit]]
    return Tokens(np.array(ids, dtype=np.int32), len(words))


class OverlapScorer(Scorer):
    """Score a pair by the number of distinct words that query and document share.

    ``("red big cat", "cat cat red dog")`` scores 2. What is cut off counts for nothing.

    Args:
        poison: a document with just these words scores `poison_score`, whatever the query.
        keeps_tokens: False gives an encoder without a `store_key`, like that of a model with a prompt.
        pause_s: seconds that a call of `score_encoded` takes at least, so that a test can kill it meanwhile.
        poison_score: NaN, or an infinity.
    """

    def __init__(
        self,
        max_length: int = 512,
        poison: str | None = None,
        keeps_tokens: bool = True,
        pause_s: float = 0.0,
        poison_score: float = math.nan,
    ) -> None:
        self._encoder = OverlapEncoder(max_length, keeps_tokens)
        self._poison = None if poison is None else words_of(poison, max_length).ids.tolist()
        self._pause_s = pause_s
        self._poison_score = poison_score

    @property
    def encoder(self) -> OverlapEncoder:
        return self._encoder

    def describe(self) -> dict[str, Any]:
        return {"model": "overlap", "device": "cpu", "dtype": "float32", "max_length": self._encoder.max_length}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        time.sleep(self._pause_s)
        logits, tokens, truncated = [], [], []
        for q, d in zip(query_P.tolist(), document_P.tolist(), strict=True):
            query, document = cast(Tokens, queries[q]), self._tokens(documents[d])
            kept = document.ids[: self._encoder.max_length - len(query.ids)]
            is_poison = document.ids.tolist() == self._poison
            logits.append(self._poison_score if is_poison else float(len(np.intersect1d(query.ids, kept))))
            tokens.append(len(query.ids) + len(kept))
            truncated.append(document.total - len(kept))
        return Scored(
            np.array(logits, dtype=np.float32),
            np.array(tokens, dtype=np.int32),
            np.zeros(len(tokens), dtype=np.int32),
            np.array(truncated, dtype=np.int32),
        )

    def _tokens(self, document: EncodedText) -> Tokens:
        if isinstance(document, PlainText):
            return words_of(document.text, self._encoder.max_length)
        return document


@dataclass(frozen=True, slots=True)
class OverlapSpec(ScorerSpec):
    """An `OverlapScorer` to be loaded; for what the fields mean, see there."""

    max_length: int = 512
    poison: str | None = None
    keeps_tokens: bool = True
    pause_s: float = 0.0
    poison_score: float = math.nan

    @property
    def revision(self) -> str:
        return f"overlap-{self.max_length}-{self.poison}"

    def load(self, threads: int | None) -> OverlapScorer:
        return OverlapScorer(self.max_length, self.poison, self.keeps_tokens, self.pause_s, self.poison_score)
