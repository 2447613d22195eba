"""The fields that several dialects share, and the checks that every request passes.

Types are strict (a number is not a text, 1 is not true), null means that a field was left out, and unknown fields are
ignored, as the peers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from crossrank.serving.errors import Empty, Invalid
from crossrank.serving.request import Cutting, ScoringRequest

MAX_PRIORITY = 1_000_000
"""Largest distance of a priority from 0; the server's own trial pairs go before all."""

Text = Annotated[str, Field(min_length=0)]
"""Any text of whole characters: with a bound, even this one, pydantic refuses half a surrogate pair."""
Texts = Annotated[list[Text], Field(fail_fast=True)]
Side = Literal["right", "left", "Right", "Left"]
"""An end of a text; text-embeddings-inference takes both spellings."""
ScoreType = Literal["probability", "logit"]
Count = Annotated[int, Field(ge=0)]
"""Number of results, or a limit; 0 is all of them, or none."""
Threshold = Annotated[float, Field(allow_inf_nan=False)]


class Body(BaseModel):
    """A JSON object of a request."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Options(Body):
    """Options that a request may have in every dialect, beside the dialect's own fields."""

    model: Text | None = None
    max_tokens_per_doc: Count | None = None
    """Tokens at which a document is cut, even where the window has room."""
    max_tokens_per_query: Count | None = None
    """Tokens at which a query is cut: whoever names this limit wants the cut."""
    truncate_query: bool | None = None
    """True cuts a query over its limit; otherwise such a request is refused."""
    long_document: Literal["truncate", "chunk_max"] | None = None
    """chunk_max scores a long document by its best chunk. A body with `max_chunks_per_doc` alone means it."""
    max_chunks_per_doc: Annotated[int, Field(ge=1)] | None = None
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] | None = None
    """Priority of the request; lower is more important, default 0."""
    timeout_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    instruction: Text | None = None
    """Meaning of relevant, for a model with a prompt; refused for another, whose scores it could not change."""

    def score_request(
        self, queries: Sequence[str], documents: Sequence[str], cut: bool, side: Side | None
    ) -> ScoringRequest:
        """Pairs with these options, as a request for scores; queries that are all the same become one.

        Args:
            cut: whether documents may be cut.
            side: the end that is cut off, right where it is None.
        """
        same = len(set(queries)) == 1
        return ScoringRequest(
            queries=(queries[0],) if same else tuple(queries),
            documents=tuple(documents),
            cutting=Cutting(
                documents=cut,
                query=bool(self.truncate_query),
                side="left" if side in ("left", "Left") else "right",
                max_tokens_per_document=self.max_tokens_per_doc or None,
                max_tokens_per_query=self.max_tokens_per_query or None,
                long_document=self.long_document or ("chunk_max" if self.max_chunks_per_doc else "truncate"),
                max_chunks_per_document=self.max_chunks_per_doc,
            ),
            priority=self.priority or 0,
            timeout_s=None if self.timeout_ms is None else self.timeout_ms / 1000,
            instruction=self.instruction or None,
        )


def check_count(name: str, num: int, limit: int) -> None:
    """Refuse a request with nothing to score, or with more documents than the server takes."""
    if num == 0:
        raise Empty(f"{name} is empty, and at least one text is wanted", name)
    if num > limit:
        raise Invalid(f"{name} has {num} texts, over the limit of {limit}; send them in several requests", name)


def check_query(name: str, text: str) -> None:
    """Refuse an empty query: there is nothing that a document could answer. An empty document is scored."""
    if not text:
        raise Invalid(f"{name} is empty, and a query of at least one character is wanted", name)
