"""Interfaces of scoring that jobs, scorers and stand-ins share, apart from how scores are computed.

Shape letters: P pairs, Q queries, D distinct documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Tokens(NamedTuple):
    """A text as token ids, without special tokens."""

    ids: NDArray[np.int32]
    """Token ids that are kept, shape (T,)."""
    total: int
    """Tokens of the whole text; more than ``len(ids)`` when it was cut."""

    @property
    def overflow(self) -> int:
        """Tokens that were cut off."""
        return self.total - len(self.ids)


class PlainText(NamedTuple):
    """A text kept as it is, for a model whose prompt is tokenised whole."""

    text: str
    overflow: int = 0
    """Tokens that were cut off."""


EncodedText = Tokens | PlainText
"""A text made ready once, however many pairs it is in."""


class Window(NamedTuple):
    """Pairs that are scored together: ``(queries[query_P[p]], documents[document_P[p]])``."""

    queries: Sequence[EncodedText]
    documents: Sequence[EncodedText]
    query_P: NDArray[np.integer]
    document_P: NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of pairs and what they cost."""

    logits_P: NDArray[np.float32]
    """Logits, unbounded, in input order."""
    tokens_P: NDArray[np.int32]
    """Tokens that the model read of each pair, special tokens included."""
    padding_P: NDArray[np.int32]
    """Padding slots computed on behalf of each pair."""
    truncated_P: NDArray[np.int32]
    """Tokens cut off the document of each pair; off query and document if the model cuts ``longest_first``."""

    @classmethod
    def joined(cls, parts: Iterable[Scored]) -> Scored:
        """Join parts, at least one, end to end."""
        scored = list(parts)
        return cls(*(np.concatenate([getattr(part, field.name) for part in scored]) for field in fields(cls)))


class PairEncoder(Protocol):
    """Encoder that makes texts ready for pairs, each text once."""

    max_length: int
    """Tokens of the window: query, document and special tokens together."""

    @property
    def store_key(self) -> str | None:
        """Name for the token ids that `documents` gives, under which they may be kept; None when it gives none."""

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        """Queries made ready, in order; one longer than half the window is cut to half.

        If the model cuts ``longest_first``, it is cut in each pair instead, by what its document leaves.
        """

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        """Documents made ready, in order."""


class Scorer(Protocol):
    """Scores pairs of texts that its encoder made ready. `PairScorer` is one; tests and benchmarks bring stand-ins."""

    @property
    def encoder(self) -> PairEncoder: ...

    def describe(self) -> dict[str, Any]:
        """Facts for the manifest: device, precision, budget, forward."""

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        """Score the pairs of one `Window`."""

    def score_windows(self, windows: Iterator[Window]) -> Iterator[Scored]:
        """Score windows one after another. They are made as they are asked for: one that computes on a GPU asks for
        the next while it scores this one."""
        return (self.score_encoded(*window) for window in windows)
