"""Encoding of texts into the token ids that a model reads, each text tokenised once.

A reranker scores one query against many documents and one document under many queries. Tokenising every pair
whole does the same work again and again; here each text is tokenised once and pairs are spliced from the parts.
The result equals ``tokenizer(query, document, truncation="only_second")``, which is checked at load; for a model
that was trained with ``longest_first`` it equals that instead.

Shape letters: P pairs, T tokens of a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from crossrank.errors import ModelRefused, SettingsError
from crossrank.scoring.interfaces import EncodedText, PlainText, Tokens
from crossrank.scoring.prompts import Prompt

Truncation = Literal["only_second", "longest_first"]
"""Way of cutting a pair that is over the window. ``only_second``: the document, and beforehand a query over half the
window. ``longest_first``: whichever has more tokens, as the original ko-reranker recipe does; a model that was
trained so says it in its config.json."""

PROBE_PAIRS = [
    ("how long does it take to charge?", "Charging takes about 4.5 hours; the light turns green."),
    ("충전 시간", " 배터리는 약 4시간 30분이면 완전히 충전됩니다.\nA second line."),
    ("e-mail: a@b.io", "(see page 12) — “quoted” …"),
]


@dataclass(frozen=True, slots=True)
class EncodedPairs:
    """Pairs of token ids, as a forward takes them."""

    ids_P: list[NDArray[np.int32]]
    """Token ids of each pair, special tokens included."""
    first_P: NDArray[np.int32]
    """Leading tokens of each pair that have token type 0; the rest have type 1."""
    truncated_P: NDArray[np.int32]
    """Tokens cut off each document; with ``longest_first`` off both texts of the pair."""

    @property
    def lengths_P(self) -> NDArray[np.int32]:
        return np.array([len(ids) for ids in self.ids_P], dtype=np.int32)


class Tokenizer:
    """Token ids of plain texts, without special tokens, truncation or padding."""

    def __init__(self, hf_tokenizer: Any) -> None:
        self.hf = hf_tokenizer
        self._backend = getattr(hf_tokenizer, "backend_tokenizer", None)
        if self._backend is not None:
            self._backend.no_truncation()
            self._backend.no_padding()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        if self._backend is not None:
            # The Rust call itself: no Python objects per text but the ids, and it runs on all cores.
            return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        return cast(list[list[int]], self.hf(list(texts), add_special_tokens=False, verbose=False)["input_ids"])

    def fingerprint(self) -> str:
        """Hash that is equal for tokenizers that give equal ids."""
        spelled = self._backend.to_str() if self._backend is not None else repr(sorted(self.hf.get_vocab().items()))
        return hashlib.sha256(spelled.encode()).hexdigest()[:16]


class SpliceEncoder:
    """Pairs spliced as ``before query between document after``, the special tokens found out from the tokenizer."""

    def __init__(
        self, tokenizer: Tokenizer, max_length: int, model: str, truncation: Truncation = "only_second"
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.truncation = truncation
        probe = tokenizer.hf("a", "b", add_special_tokens=True)
        parts: list[list[int]] = [[], [], []]
        part = 0
        for token, sequence in zip(probe["input_ids"], probe.sequence_ids(0), strict=True):
            if sequence is None:
                parts[part].append(token)
            else:
                part = sequence + 1
        self.before, self.between, self.after = (np.array(ids, dtype=np.int32) for ids in parts)
        # A tokenizer that leaves types out means a model that was trained without them, whatever it has room for.
        self.has_types = 1 in probe.get("token_type_ids", [])
        self.num_special = sum(map(len, parts))
        if max_length < self.num_special + 2:
            raise SettingsError(
                f"max_length is {max_length}, and {self.num_special} special tokens leave no room for a query and a "
                f"document; use at least {self.num_special + 2}"
            )
        self._check(model)

    @property
    def store_key(self) -> str:
        # The truncation has no part in it: either way a document is kept up to the window, and cut in its pairs.
        return f"{self.tokenizer.fingerprint()}-{self.max_length}"

    @property
    def query_limit(self) -> int:
        """Tokens a query may have: half the window, so that a document always has room.

        With ``longest_first`` nothing is cut by it; the server refuses by it.
        """
        return min(self.max_length // 2, self.max_length - self.num_special - 1)

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return self._tokens(texts, self.query_limit if self.truncation == "only_second" else self.max_length)

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        return self._tokens(texts, self.max_length)

    def _tokens(self, texts: Sequence[str], limit: int) -> list[EncodedText]:
        return [Tokens(np.array(ids[:limit], dtype=np.int32), len(ids)) for ids in self.tokenizer(texts)]

    def pairs(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> EncodedPairs:
        heads = {int(q): self._head(cast(Tokens, queries[q]).ids) for q in np.unique(query_P)}
        ids_P, first, truncated = [], [], []
        for q, d in zip(query_P.tolist(), document_P.tolist(), strict=True):
            head, document = heads[q], cast(Tokens, documents[d])
            query_cut = 0
            if self.truncation == "longest_first":
                query = cast(Tokens, queries[q])
                share = _query_share(query.total, document.total, self.max_length - self.num_special)
                query_cut = query.total - share
                head = head if share >= len(query.ids) else self._head(query.ids[:share])
            kept = document.ids[: self.max_length - len(head) - len(self.after)]
            ids_P.append(np.concatenate([head, kept, self.after]))
            first.append(len(head) if self.has_types else len(ids_P[-1]))
            truncated.append(query_cut + document.total - len(kept))
        return EncodedPairs(ids_P, np.array(first, dtype=np.int32), np.array(truncated, dtype=np.int32))

    def _head(self, query_ids: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.concatenate([self.before, query_ids, self.between])

    def _check(self, model: str) -> None:
        """Refuse a tokenizer whose pairs are not the splice of their parts: every score would be quietly wrong."""
        for query, document in PROBE_PAIRS:
            whole = self.tokenizer.hf(query, document, add_special_tokens=True)
            query_ids, document_ids = self.tokenizer([query, document])
            head = [*self.before, *query_ids, *self.between]
            ids = [*head, *document_ids, *self.after]
            types = [int(self.has_types and position >= len(head)) for position in range(len(ids))]
            if ids != whole["input_ids"] or types != whole.get("token_type_ids", types):
                raise ModelRefused(
                    f"the tokenizer of {model} builds a pair differently from its two texts "
                    f"(seen on {query!r}), which crossrank cannot score with; use a model of another family"
                )


def _query_share(query: int, document: int, room: int) -> int:
    """Tokens that ``longest_first`` keeps of a query beside a document of so many; the document has what is left.

    In closed form what ``TruncationStrategy::LongestFirst`` of the tokenizers library does: the shorter text stays
    whole if it has at most half the room, else each gets half. An odd token goes to the longer one, to the document
    where they are equal; so lengths must be those of the whole texts.
    """
    return min(query, max(room - document, (room + (query > document)) // 2))


class PromptEncoder:
    """Pairs inside a prompt. The body is tokenised whole for each pair, because tokens merge across its seams.

    Refuses ``longest_first``: the body is one text to the tokenizer, so there are no two to compare.
    """

    store_key = None
    truncation: Truncation = "only_second"

    def __init__(
        self,
        tokenizer: Tokenizer,
        max_length: int,
        prompt: Prompt,
        instruction: str | None,
        truncation: Truncation = "only_second",
    ) -> None:
        if truncation != "only_second":
            raise SettingsError(
                f"truncation is {truncation}, and of a model with a prompt only documents can be cut; use only_second"
            )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.prompt = prompt
        self.instruction = instruction or prompt.default_instruction
        self.before, self.after = (np.array(ids, dtype=np.int32) for ids in tokenizer([prompt.before, prompt.after]))
        self.body_limit = max_length - len(self.before) - len(self.after)
        around = len(tokenizer([self.body("")])[0])
        self.query_limit = min(max_length // 2, self.body_limit - around - 1)
        if self.query_limit < 1:
            raise SettingsError(
                f"max_length is {max_length}, and the prompt with its instruction takes {max_length - self.body_limit}"
                f" + {around} tokens of it; raise --max-length"
            )

    def body(self, query: str) -> str:
        """Body of the prompt up to where the document begins."""
        return self.prompt.body.format(instruction=self.instruction, query=query)

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        kept: list[EncodedText] = []
        for text, offsets in zip(texts, self.offsets(texts), strict=True):
            overflow = max(0, len(offsets) - self.query_limit)
            end = len(text)
            if overflow:
                # Where tokens are parts of one character, both have its offsets: it goes, rather than the limit.
                end = min(offsets[self.query_limit - 1][1], offsets[self.query_limit][0])
            kept.append(PlainText(text[:end], overflow))
        return kept

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Spans of characters, from and to, that each token of each text stands for."""
        encodings = self.tokenizer.hf.backend_tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.offsets for encoding in encodings]

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        return [PlainText(text) for text in texts]

    def pairs(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> EncodedPairs:
        heads = [self.body(cast(PlainText, query).text) for query in queries]
        bodies = self.tokenizer(
            [heads[q] + cast(PlainText, documents[d]).text for q, d in zip(query_P, document_P, strict=True)]
        )
        ids_P = [
            np.concatenate([self.before, np.array(ids[: self.body_limit], dtype=np.int32), self.after])
            for ids in bodies
        ]
        lengths = np.array([len(ids) for ids in ids_P], dtype=np.int32)
        truncated = np.array([max(0, len(ids) - self.body_limit) for ids in bodies], dtype=np.int32)
        return EncodedPairs(ids_P, lengths, truncated)
