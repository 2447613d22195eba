"""From a request to token ids, with the truth about what did not fit.

Documents are cut, or split into chunks; a query is cut only where the request allows it.

Shape letters: C documents of a request, U pairs (one or more a document), T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder
from crossrank.scoring.scored import EncodedText, PlainText, Tokens
from crossrank.serving.ask import Ask, Cutting
from crossrank.serving.faults import Invalid

MAX_QUERY_TOKENS = 512
"""A query's limit where half the window is more."""

MOST_TOKENS_OF_CHARACTER = 4
"""Its bytes in UTF-8, where it has no token of its own."""

Encoder = SpliceEncoder | PromptEncoder
Span = tuple[int, int]
"""Tokens from, to."""


@dataclass(frozen=True, slots=True)
class EncodedAsk:
    """The pairs of a request as the model takes them."""

    ids_U: list[NDArray[np.int32]]
    first_U: NDArray[np.int32]
    document_U: NDArray[np.int64]
    """Which document each pair is of."""
    cut_C: NDArray[np.int32]
    """Tokens of each document that are in no pair."""
    query_cut: int

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.ids_U))


def query_limit(encoder: Encoder) -> int:
    """Tokens that a query may have."""
    return min(encoder.query_limit, MAX_QUERY_TOKENS)


def encode(ask: Ask, encoder: Encoder) -> EncodedAsk:
    """Tokenise a request, each text once.

    Raises:
        Invalid: a query over its limit, or a document that does not fit, where the request does not let it be cut.
    """
    texts = _Spliced(encoder) if isinstance(encoder, SpliceEncoder) else _Prompted(encoder)
    queries, rooms, query_cut = texts.queries(ask.queries, ask.cutting)
    query_C = np.zeros(len(ask.documents), np.int64) if len(queries) == 1 else np.arange(len(ask.documents))
    totals = texts.read(ask.documents)
    pieces: list[EncodedText] = []
    document_U: list[int] = []
    cut = []
    for c, total in enumerate(totals):
        spans = _spans(total, rooms[query_C[c]], ask.cutting, c, texts)
        pieces += [texts.piece(c, span) for span in spans]
        document_U += [c] * len(spans)
        cut.append(total - sum(end - start for start, end in spans))
    document_of_U = np.array(document_U, dtype=np.int64)
    pairs = texts.pairs(queries, pieces, query_C[document_of_U])
    cut_C = np.array(cut, dtype=np.int32)
    # What the splice still had to cut: where a prompt's tokens merge across its seams, a little more than expected.
    np.add.at(cut_C, document_of_U, pairs.truncated_P)
    return EncodedAsk(pairs.ids_P, pairs.first_P, document_of_U, cut_C, query_cut)


def _spans(total: int, room: int, cutting: Cutting, c: int, texts: _Spliced | _Prompted) -> list[Span]:
    """Which tokens of a document are read: one span, or with chunk_max as many as it takes."""
    limit = total if cutting.max_tokens_per_document is None else min(total, cutting.max_tokens_per_document)
    chunk = max(1, room - texts.seam)
    max_chunks = cutting.max_chunks_per_document or total
    if limit > room and cutting.long_document == "chunk_max":
        limit = min(limit, max_chunks * chunk)
    first, end = (0, limit) if cutting.side == "right" else (total - limit, total)
    if limit <= room:
        return [(first, end)]
    if cutting.long_document == "chunk_max":
        edges = [first]
        while edges[-1] + chunk < end:
            edges.append(max(texts.edge(c, edges[-1] + chunk), edges[-1] + 1))
        spans = list(pairwise([*edges, end]))
        return spans[:max_chunks] if cutting.side == "right" else spans[-max_chunks:]
    if not cutting.documents:
        raise Invalid(
            f"document {c} has {total} tokens, and beside the query the window has room for {room}; "
            f"shorten it, let it be cut, or send long_document: chunk_max",
            "documents",
        )
    # On the right the encoder itself cuts, as it does in a job, and the scores are the same.
    return [(first, end) if cutting.side == "right" else (end - room, end)]


class _Spliced:
    """Texts of a model whose pairs are spliced from token ids."""

    seam = 0

    def __init__(self, encoder: SpliceEncoder) -> None:
        self._encoder = encoder
        self._documents: list[NDArray[np.int32]] = []

    def queries(self, texts: Sequence[str], cutting: Cutting) -> tuple[list[EncodedText], list[int], int]:
        limit = _query_limit(self._encoder, cutting)
        found: list[EncodedText] = []
        for ids in self._encoder.tokenizer(texts):
            _refuse_long_query(len(ids), limit, cutting)
            found.append(Tokens(np.array(ids[:limit], dtype=np.int32), len(ids)))
        around = self._encoder.num_special
        rooms = [self._encoder.max_length - around - len(query.ids) for query in found if isinstance(query, Tokens)]
        return found, rooms, sum(query.overflow for query in found)

    def read(self, texts: Sequence[str]) -> list[int]:
        self._documents = [np.array(ids, dtype=np.int32) for ids in self._encoder.tokenizer(texts)]
        return [len(ids) for ids in self._documents]

    def edge(self, c: int, token: int) -> int:
        return token

    def piece(self, c: int, span: Span) -> EncodedText:
        ids = self._documents[c][slice(*span)]
        return Tokens(ids, len(ids))

    def pairs(self, queries: list[EncodedText], pieces: list[EncodedText], query_U: NDArray[np.int64]) -> EncodedPairs:
        return self._encoder.pairs(queries, pieces, query_U, np.arange(len(pieces)))


class _Prompted:
    """Texts of a model whose prompt is tokenised whole: they are cut at the characters where tokens end."""

    seam = 4
    """Tokens left free in each chunk, which may have more of them alone than as a part of its document."""

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        self._documents: list[tuple[str, list[Span]]] = []

    def queries(self, texts: Sequence[str], cutting: Cutting) -> tuple[list[EncodedText], list[int], int]:
        limit = _query_limit(self._encoder, cutting)
        found: list[EncodedText] = []
        for text, offsets in self._read(texts):
            _refuse_long_query(len(offsets), limit, cutting)
            found.append(PlainText(_characters(text, offsets, (0, limit)), max(0, len(offsets) - limit)))
        heads = self._encoder.tokenizer([self._encoder.body(q.text) for q in found if isinstance(q, PlainText)])
        rooms = [max(1, self._encoder.body_limit - len(ids)) for ids in heads]
        return found, rooms, sum(query.overflow for query in found)

    def read(self, texts: Sequence[str]) -> list[int]:
        self._documents = self._read(texts)
        return [len(offsets) for _, offsets in self._documents]

    def edge(self, c: int, token: int) -> int:
        """Where a chunk may end: no later than before this token, and not amid the tokens of one character."""
        _, offsets = self._documents[c]
        for edge in range(token, max(0, token - MOST_TOKENS_OF_CHARACTER), -1):
            if offsets[edge][0] >= offsets[edge - 1][1]:
                return edge
        return token

    def piece(self, c: int, span: Span) -> EncodedText:
        return PlainText(_characters(*self._documents[c], span))

    def pairs(self, queries: list[EncodedText], pieces: list[EncodedText], query_U: NDArray[np.int64]) -> EncodedPairs:
        return self._encoder.pairs(queries, pieces, query_U, np.arange(len(pieces)))

    def _read(self, texts: Sequence[str]) -> list[tuple[str, list[Span]]]:
        return list(zip(texts, self._encoder.offsets(texts), strict=True))


def _characters(text: str, offsets: list[Span], span: Span) -> str:
    """The characters that lie in some tokens whole; all of a text for all of its tokens."""
    start, end = span
    first = 0 if start == 0 else max(offsets[start][0], offsets[start - 1][1])
    last = len(text) if end >= len(offsets) else min(offsets[end][0], offsets[end - 1][1])
    return text[first:last]


def _query_limit(encoder: Encoder, cutting: Cutting) -> int:
    limit = query_limit(encoder)
    return limit if cutting.max_tokens_per_query is None else min(limit, cutting.max_tokens_per_query)


def _refuse_long_query(length: int, limit: int, cutting: Cutting) -> None:
    # Whoever names a limit for the query has asked for it to be cut there.
    if length > limit and not cutting.query and cutting.max_tokens_per_query is None:
        raise Invalid(
            f"the query has {length} tokens, over its limit of {limit}; shorten it, or send truncate_query: true",
            "query",
        )
