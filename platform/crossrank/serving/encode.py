"""Encoding of a request into token ids, with the truth about what did not fit.

Documents are cut, or split into chunks; a query is cut only where the request allows it. A large request is tokenised
in steps, so that others come between, and an end is put to one whose deadline has passed.

Shape letters: C documents of a request, U pairs (one or more a document), T tokens of a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import SettingsError
from crossrank.scoring.encoding import EncodedPairs, PromptEncoder, SpliceEncoder
from crossrank.scoring.interfaces import EncodedText, PlainText, Tokens
from crossrank.serving.errors import Invalid
from crossrank.serving.incremental import STEP_CHARACTERS, Span, Steps, all_of, in_steps, tokenised
from crossrank.serving.request import Cutting, ScoringRequest

MAX_QUERY_TOKENS = 512
"""Tokens of a query at most, where half the window is more."""

MOST_TOKENS_OF_CHARACTER = 4
"""Tokens of one character at most: its bytes in UTF-8, where it has no token of its own."""

MAX_INSTRUCTION_CHARACTERS = 4_000

STEP_PIECES = 64
"""Pairs that are put together in one step."""

Encoder = SpliceEncoder | PromptEncoder


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """The pairs of a request as the model takes them."""

    ids_U: list[NDArray[np.int32]]
    first_U: NDArray[np.int32]
    document_U: NDArray[np.int64]
    """Index of the document that each pair is of."""
    cut_C: NDArray[np.int32]
    """Tokens of each document that are in no pair."""
    query_cut: int
    num_text_tokens: int
    """Tokens of all texts before anything was cut, each text once."""

    @property
    def num_tokens(self) -> int:
        return sum(map(len, self.ids_U))


def query_limit(encoder: Encoder) -> int:
    """Tokens that a query may have, few enough that no pair has to cut it."""
    limit = min(encoder.query_limit, MAX_QUERY_TOKENS)
    if isinstance(encoder, SpliceEncoder) and encoder.truncation == "longest_first":
        # Up to half of what the special tokens leave of the window, longest_first keeps a query whole. Within that
        # it cuts documents alone, so rooms, chunks and counts are the same as with only_second.
        limit = min(limit, (encoder.max_length - encoder.num_special) // 2)
    return limit


def encode(request: ScoringRequest, encoder: Encoder) -> EncodedRequest:
    """Tokenise a request, each text once.

    Raises:
        Invalid: a query over its limit, or a document that does not fit, where the request does not let it be cut; an
            instruction for a model without a prompt, or one that leaves no room.
    """
    return all_of(encoding(request, encoder))


def encoding(request: ScoringRequest, encoder: Encoder) -> Steps[EncodedRequest]:
    """Encode as `encode` does, in steps; the generator returns the result."""
    encoder = _instructed(encoder, request)
    texts = _Spliced(encoder) if isinstance(encoder, SpliceEncoder) else _Prompted(encoder)
    has_one_query = len(request.queries) == 1
    queries: list[_Queries] = []
    if has_one_query:
        queries.append((yield from texts.queries(request.queries, request.cutting)))
    parts: list[EncodedRequest] = []
    for first, end in in_steps(request.characters_C()):
        if first:
            yield
        if not has_one_query:
            queries.append((yield from texts.queries(request.queries[first:end], request.cutting)))
        parts.append((yield from _part(request, first, end, queries[-1], texts)))
    return EncodedRequest(
        [ids for part in parts for ids in part.ids_U],
        np.concatenate([np.zeros(0, np.int32), *(part.first_U for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.document_U for part in parts)]),
        np.concatenate([np.zeros(0, np.int32), *(part.cut_C for part in parts)]),
        sum(part.num_cut for part in queries),
        sum(part.num_tokens for part in queries) + sum(part.num_text_tokens for part in parts),
    )


class _Queries(NamedTuple):
    """Queries ready to be put into pairs."""

    texts: list[EncodedText]
    rooms: list[int]
    """Tokens of the window that each query leaves to its document."""
    num_cut: int
    num_tokens: int
    """Tokens of all queries before they were cut."""


def _part(
    request: ScoringRequest, first: int, end: int, queries: _Queries, texts: _Spliced | _Prompted
) -> Steps[EncodedRequest]:
    """Encode the documents from `first` to `end` with their queries; tokens and cuts of the queries are not counted."""
    totals = yield from texts.read(request.documents[first:end])
    query_C = np.zeros(len(totals), np.int64) if len(queries.texts) == 1 else np.arange(len(totals))
    pieces: list[EncodedText] = []
    document: list[int] = []
    cut = []
    for c, total in enumerate(totals):
        spans = _spans(total, queries.rooms[query_C[c]], request.cutting, c, first + c, texts)
        pieces += [texts.piece(c, span) for span in spans]
        document += [c] * len(spans)
        cut.append(total - sum(end - start for start, end in spans))
    document_U = np.array(document, dtype=np.int64)
    cut_C = np.array(cut, dtype=np.int32)
    lots: list[EncodedPairs] = []
    for start in range(0, len(pieces), STEP_PIECES):
        if start:
            yield
        lot = slice(start, start + STEP_PIECES)
        lots.append(texts.pairs(queries.texts, pieces[lot], query_C[document_U[lot]]))
        # What the splice still had to cut: where a prompt's tokens merge across its seams, a little more than expected.
        np.add.at(cut_C, document_U[lot], lots[-1].truncated_P)
    ids_U = [ids for pairs in lots for ids in pairs.ids_P]
    return EncodedRequest(
        ids_U, np.concatenate([pairs.first_P for pairs in lots]), first + document_U, cut_C, 0, int(sum(totals))
    )


def _instructed(encoder: Encoder, request: ScoringRequest) -> Encoder:
    """The encoder with the instruction of the request."""
    if request.instruction is None:
        return encoder
    if isinstance(encoder, SpliceEncoder):
        raise Invalid("this model has no prompt, so an instruction has no place; leave instruction out", "instruction")
    num = len(request.instruction)
    if num > MAX_INSTRUCTION_CHARACTERS:
        raise Invalid(
            f"instruction has {num} characters, over the limit of {MAX_INSTRUCTION_CHARACTERS}; shorten it",
            "instruction",
        )
    try:
        return PromptEncoder(encoder.tokenizer, encoder.max_length, encoder.prompt, request.instruction)
    except SettingsError as error:
        raise Invalid(
            f"instruction has {num} characters, and the window of {encoder.max_length} tokens has no room for a query "
            f"and a document beside it; shorten it",
            "instruction",
        ) from error


def _spans(total: int, room: int, cutting: Cutting, c: int, number: int, texts: _Spliced | _Prompted) -> list[Span]:
    """Spans of a document's tokens that are read: one, or with chunk_max as many as it takes.

    Args:
        c: position of the document among the texts that were read last.
        number: position of the document in the request, for the refusal.
    """
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
            f"document {number} has {total} tokens, and beside the query the window has room for {room}; "
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

    def queries(self, texts: Sequence[str], cutting: Cutting) -> Steps[_Queries]:
        limit = _query_limit(self._encoder, cutting)
        encoded: list[EncodedText] = []
        rooms = []
        num_tokens = num_cut = 0
        ids_of_each = yield from tokenised(texts, self._ids, _enough(limit, cutting))
        for text, ids in zip(texts, ids_of_each, strict=True):
            _refuse_long_query(text, len(ids), limit, cutting)
            kept = np.array(ids[:limit], dtype=np.int32)
            # What is cut here is no part of the pair any more: longest_first would weigh it, and leave its room empty.
            encoded.append(Tokens(kept, len(kept)))
            rooms.append(self._encoder.max_length - self._encoder.num_special - len(kept))
            num_cut += len(ids) - len(kept)
            num_tokens += len(ids)
        return _Queries(encoded, rooms, num_cut, num_tokens)

    def read(self, texts: Sequence[str]) -> Steps[list[int]]:
        self._documents = [np.array(ids, dtype=np.int32) for ids in (yield from tokenised(texts, self._ids))]
        return [len(ids) for ids in self._documents]

    def _ids(self, texts: Sequence[str], before: int) -> list[list[int]]:
        return self._encoder.tokenizer(texts)

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

    def queries(self, texts: Sequence[str], cutting: Cutting) -> Steps[_Queries]:
        limit = _query_limit(self._encoder, cutting)
        encoded: list[EncodedText] = []
        bodies: list[str] = []
        num_tokens = num_cut = 0
        offsets_of_each = yield from tokenised(texts, self._offsets, _enough(limit, cutting))
        for text, offsets in zip(texts, offsets_of_each, strict=True):
            _refuse_long_query(text, len(offsets), limit, cutting)
            kept = _characters(text, offsets, (0, limit))
            encoded.append(PlainText(kept))
            bodies.append(self._encoder.body(kept))
            num_cut += max(0, len(offsets) - limit)
            num_tokens += len(offsets)
        rooms = [max(1, self._encoder.body_limit - len(ids)) for ids in self._encoder.tokenizer(bodies)]
        return _Queries(encoded, rooms, num_cut, num_tokens)

    def read(self, texts: Sequence[str]) -> Steps[list[int]]:
        offsets_of_each = yield from tokenised(texts, self._offsets)
        self._documents = list(zip(texts, offsets_of_each, strict=True))
        return [len(offsets) for offsets in offsets_of_each]

    def edge(self, c: int, token: int) -> int:
        """Place where a chunk may end: no later than before this token, and not amid the tokens of one character."""
        _, offsets = self._documents[c]
        for edge in range(token, max(0, token - MOST_TOKENS_OF_CHARACTER), -1):
            if offsets[edge][0] >= offsets[edge - 1][1]:
                return edge
        return token

    def piece(self, c: int, span: Span) -> EncodedText:
        return PlainText(_characters(*self._documents[c], span))

    def pairs(self, queries: list[EncodedText], pieces: list[EncodedText], query_U: NDArray[np.int64]) -> EncodedPairs:
        return self._encoder.pairs(queries, pieces, query_U, np.arange(len(pieces)))

    def _offsets(self, texts: Sequence[str], before: int) -> list[list[Span]]:
        of_texts = self._encoder.offsets(texts)
        if not before:
            return of_texts
        return [[(start + before, end + before) for start, end in offsets] for offsets in of_texts]


def _characters(text: str, offsets: list[Span], span: Span) -> str:
    """The characters that lie in some tokens whole; all of a text for all of its tokens."""
    start, end = span
    first = 0 if start == 0 else max(offsets[start][0], offsets[start - 1][1])
    last = len(text) if end >= len(offsets) else min(offsets[end][0], offsets[end - 1][1])
    return text[first:last]


def _query_limit(encoder: Encoder, cutting: Cutting) -> int:
    limit = query_limit(encoder)
    return limit if cutting.max_tokens_per_query is None else min(limit, cutting.max_tokens_per_query)


def _may_cut_query(cutting: Cutting) -> bool:
    # Whoever names a limit for the query has asked for it to be cut there.
    return cutting.query or cutting.max_tokens_per_query is not None


def _enough(limit: int, cutting: Cutting) -> int | None:
    """Tokens of a query after which its refusal is certain."""
    return None if _may_cut_query(cutting) else limit


def _refuse_long_query(text: str, length: int, limit: int, cutting: Cutting) -> None:
    if length > limit and not _may_cut_query(cutting):
        more = " or more" if len(text) > STEP_CHARACTERS else ""  # the rest was not read
        raise Invalid(
            f"the query has {length} tokens{more}, over its limit of {limit}; shorten it, or send truncate_query: true",
            "query",
        )
