"""A scorer that costs nothing, so that a benchmark of the job measures the job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.scoring.interfaces import EncodedText, Scored, Scorer, Tokens
from crossrank.scoring.spec import ScorerSpec

MAX_LENGTH = 512


class WordEncoder:
    """A token for each word, numbered by its length: as much work as a tokenizer that is very fast."""

    max_length = MAX_LENGTH
    store_key = "stand-in-words"

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return self.documents(texts)

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        words = [text.split() for text in texts]
        return [Tokens(np.fromiter(map(len, some[:MAX_LENGTH]), np.int32), len(some)) for some in words]


class StandIn(Scorer):
    """The logit is a hash of the lengths: the same for the same pair, different for others."""

    encoder = WordEncoder()

    def describe(self) -> dict[str, Any]:
        return {"model": "stand-in", "dtype": "float32"}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        query_sums = np.array([int(query.ids.sum()) for query in queries], dtype=np.int64)  # type: ignore[union-attr]
        sums = np.array([int(document.ids.sum()) for document in documents], dtype=np.int64)  # type: ignore[union-attr]
        lengths = np.array([len(document.ids) for document in documents], dtype=np.int32)  # type: ignore[union-attr]
        mixed_P = (query_sums[query_P] * 2_654_435_761 + sums[document_P] * 40_503 + document_P) % 1_000_003
        zeros_P = np.zeros(len(query_P), dtype=np.int32)
        return Scored((mixed_P / 1_000_003).astype(np.float32), lengths[document_P], zeros_P, zeros_P)


@dataclass(frozen=True, slots=True)
class StandInSpec(ScorerSpec):
    """Loads the stand-in."""

    revision: str = "stand-in"

    def load(self, threads: int | None) -> StandIn:
        return StandIn()
