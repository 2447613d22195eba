"""Request for scores and the response to it, apart from any dialect.

Shape letters: C documents of one request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """Permission to cut parts of a pair so that it fits the window."""

    documents: bool = True
    """False refuses a request with a document that does not fit."""
    query: bool = False
    """False refuses a query over its limit: half a question is answered wrong, quietly."""
    side: Literal["right", "left"] = "right"
    """End of a document that is cut off."""
    max_tokens_per_document: int | None = None
    """Tokens at which a document is cut, even where the window has room; None has no such limit."""
    max_tokens_per_query: int | None = None
    """Tokens at which a query is cut; None has no limit but the server's."""
    long_document: Literal["truncate", "chunk_max"] = "truncate"
    """chunk_max scores a long document in chunks of the window; its score is that of the best one."""
    max_chunks_per_document: int | None = None
    """Chunks of a document that chunk_max scores; None scores all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """Pairs to be scored: one query with its documents, or as many queries as documents, pair by pair."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    cutting: Cutting = field(default_factory=Cutting)
    priority: int = 0
    """Lower is more important, as in Cohere's API; the higher are shed first."""
    timeout_s: float | None = None
    """Seconds until the deadline; None takes the server's default."""
    instruction: str | None = None
    """Meaning of relevant, for a model with a prompt; None takes the one that the server was started with."""

    def characters_C(self) -> NDArray[np.int64]:
        """Characters that each document makes the server read: its own, its query's and the instruction's."""
        around = len(self.instruction or "")
        documents_C = np.fromiter(map(len, self.documents), np.int64, len(self.documents))
        # One query counts for each of its documents; as many as documents, each for its own.
        return documents_C + np.fromiter(map(len, self.queries), np.int64, len(self.queries)) + around

    @property
    def num_characters(self) -> int:
        """Characters of all pairs."""
        return int(self.characters_C().sum())

    @property
    def num_text_characters(self) -> int:
        """Characters of the queries and the documents, each once."""
        return sum(map(len, self.queries)) + sum(map(len, self.documents))


@dataclass(slots=True)
class Timing:
    """Seconds that a request spent."""

    tokenization_s: float = 0.0
    queue_s: float = 0.0
    """Seconds from the end of tokenising to the first batch with a pair of the request."""
    inference_s: float = 0.0
    """Seconds from the first batch to the last score."""
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ScoringResponse:
    """Scores in the order of the documents, and what they cost."""

    logits_C: NDArray[np.float32]
    """Logit of each document, unbounded."""
    tokens_C: NDArray[np.int32]
    """Tokens that the model read for each document, the query's and the special ones included; of all its chunks."""
    cut_C: NDArray[np.int32]
    """Tokens of each document that no forward read."""
    chunks_C: NDArray[np.int32]
    """Pairs that each document was scored in; 1 but for chunk_max."""
    query_cut: int
    """Tokens cut off the query; off all of them, where there are several."""
    num_characters: int
    timing: Timing

    @property
    def num_tokens(self) -> int:
        """Tokens that the model read."""
        return int(self.tokens_C.sum())

    @property
    def num_cut(self) -> int:
        """Documents of which not all was read."""
        return int((self.cut_C > 0).sum())

    def order(self) -> NDArray[np.int64]:
        """Documents best first: by logit, equal ones in their order."""
        return np.argsort(-self.logits_C, kind="stable")

    def probabilities_C(self) -> NDArray[np.float64]:
        """Sigmoid of the logits, in float64: order by logits, since far from 0 it is flat."""
        return 1.0 / (1.0 + np.exp(-self.logits_C.astype(np.float64)))
