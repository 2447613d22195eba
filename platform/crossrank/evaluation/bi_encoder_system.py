"""An encoder without a head as a row of the table: the cosine between a query and a document.

It is what there is before any reranker is trained: the encoder that the first stage may have, put in the reranker's
place.

Shape letters: Q queries, D documents, P pairs, W dimensions of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank.retrieval.encoder import Encoder, EncoderSpec, TransformerSpec
from crossrank.scoring.interfaces import EncodedText, PlainText, Scored, Scorer

KEPT_BYTES = 256 << 20
"""Bytes of document vectors that a worker keeps, at most."""
CHUNK_PAIRS = 16_384
"""Pairs whose products are computed together: at 1,024 dimensions 134 MB."""

Count = Callable[[Sequence[str]], list[int]]
"""Function that counts the tokens of queries or documents, uncut."""


@dataclass(frozen=True, slots=True)
class CosineSpec:
    """Description of an encoder that scores by cosine, which a worker loads. It pickles."""

    encoder: EncoderSpec
    keeps: bool = True
    """Whether a document that was encoded once is not encoded again, as where its vector lies in an index."""

    @property
    def revision(self) -> str:
        return f"cosine-{self.encoder.revision}"

    @property
    def process_bytes(self) -> int:
        """Memory of a process that scores with it on a CPU, about."""
        return self.encoder.process_bytes

    def on(self, device: str | None, precision: str | None = None) -> CosineSpec:
        return replace(self, encoder=self.encoder.on(device))

    def load(self, threads: int | None) -> Scorer:
        return CosineScorer(self.encoder.load(threads), _Texts.of(self.encoder), self.keeps)


class CosineScorer(Scorer):
    """Scorer by products of vectors: their cosine, where the encoder makes them of length 1."""

    def __init__(self, encoder: Encoder, texts: _Texts, keeps: bool) -> None:
        self._texts = texts
        self._vectors = encoder
        self._keeps = keeps
        self._kept: dict[str, NDArray[np.float32]] = {}

    @property
    def encoder(self) -> _Texts:
        return self._texts

    def describe(self) -> dict[str, Any]:
        return {"scorer": "cosine", "max_length": self._texts.max_length}

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        """Score the pairs, each text encoded once."""
        queries_QW = self._vectors.queries([_plain(query).text for query in queries])
        documents_DW = self._documents([_plain(document).text for document in documents])
        logits_P = np.empty(len(query_P), dtype=np.float32)
        for start in range(0, len(query_P), CHUNK_PAIRS):
            pairs = slice(start, start + CHUNK_PAIRS)
            products_PW = queries_QW[query_P[pairs]].astype(np.float64) * documents_DW[document_P[pairs]]
            logits_P[pairs] = products_PW.sum(axis=1)
        overflow_D = np.array([_plain(document).overflow for document in documents], dtype=np.int32)
        # A text is read once for all of its pairs, so no pair has tokens of its own.
        nothing_P = np.zeros(len(query_P), dtype=np.int32)
        return Scored(logits_P, nothing_P, nothing_P, overflow_D[document_P])

    def _documents(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of documents, shape (D, W): kept ones are used again, the others made now."""
        new = list(dict.fromkeys(text for text in texts if text not in self._kept))
        made = dict(zip(new, self._vectors.passages(new), strict=True))
        found_DW = np.array([made[text] if text in made else self._kept[text] for text in texts])
        if self._keeps:
            if len(self._kept) * found_DW[:1].nbytes > KEPT_BYTES:
                self._kept.clear()
            self._kept |= made
        return found_DW


class _Texts:
    """Texts as they are, with what the encoder will cut off them."""

    store_key = None

    def __init__(self, max_length: int, count_queries: Count, count_documents: Count) -> None:
        self.max_length = max_length
        self._count_queries = count_queries
        self._count_documents = count_documents

    @classmethod
    def of(cls, spec: EncoderSpec) -> _Texts:
        """Make it for an encoder; one that is no model cuts nothing."""
        if not isinstance(spec, TransformerSpec):
            return cls(0, lambda texts: [0] * len(texts), lambda texts: [0] * len(texts))
        from crossrank.scoring.loading import find_model, load_tokenizer

        tokenizer = load_tokenizer(find_model(spec.model))

        def count(prompt: str) -> Count:
            return lambda texts: [
                len(ids) for ids in tokenizer([prompt + text for text in texts], verbose=False)["input_ids"]
            ]

        return cls(spec.max_length, count(spec.query_prompt), count(spec.passage_prompt))

    def queries(self, texts: Sequence[str]) -> list[EncodedText]:
        return self._made_ready(texts, self._count_queries)

    def documents(self, texts: Sequence[str]) -> list[EncodedText]:
        return self._made_ready(texts, self._count_documents)

    def _made_ready(self, texts: Sequence[str], count: Count) -> list[EncodedText]:
        counts = count(texts) if texts else []
        return [PlainText(text, max(0, tokens - self.max_length)) for text, tokens in zip(texts, counts, strict=True)]


def _plain(text: EncodedText) -> PlainText:
    assert isinstance(text, PlainText)
    return text
