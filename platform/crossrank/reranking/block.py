"""Score one block: the work of a worker, without anything of Ray in it.

Shape letters: Q queries of the block, P pairs of all of them, C candidates of one query.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore
from crossrank.records import Reason
from crossrank.reranking.layout import part_schema
from crossrank.scoring.interfaces import EncodedText, Scored, Scorer, Tokens, Window
from crossrank.scoring.normalize import Normalize, normalize

WINDOW_PAIRS = 2048
"""Pairs whose texts are tokenised together, at least: a GPU begins with the first of them, and the CPU goes on."""


SUMMED = ("pairs", "tokens", "padding", "truncated_documents")
"""Statistics of queries that the figures of a block sum up."""


class Encoded(Protocol):
    """Tokenised documents of the corpus, by row."""

    def __getitem__(self, row: int) -> EncodedText: ...


@dataclass(frozen=True, slots=True)
class Keep:
    """The part of a scored query that is kept."""

    top_n: int
    """Documents of a query that are kept; 0 keeps all."""
    normalize: Normalize
    with_text: bool


@dataclass(frozen=True, slots=True)
class Corpus:
    """The corpus in a worker."""

    store: TextStore
    encoded: Encoded | None
    """Token ids of its documents, kept on disk; None where a prompt has to be tokenised whole."""


def rerank_block(block: pa.Table, scorer: Scorer, corpus: Corpus | None, keep: Keep) -> pa.Table:
    """Score a block. Returns its results, one row a query in the order of the block.

    A query whose scores are not all finite is rejected whole: its order would be a guess.
    """
    candidates = _Candidates.of(block, corpus)
    queries: list[EncodedText] = []
    windows = _windows(block["query"].to_pylist(), candidates, scorer, corpus, queries)
    scored = Scored.joined(scorer.score_windows(windows))
    results = [
        _result(row, queries[q], scored, candidates, span, keep, corpus)
        for q, (row, span) in enumerate(
            zip(block.select(["row", "query_id", "query", "reason"]).to_pylist(), candidates.spans, strict=True)
        )
    ]
    return pa.Table.from_pylist(results, schema=part_schema(keep.with_text))


def figures_of(part: pa.Table) -> dict[str, Any]:
    """Figures of a finished part, small enough to be sent to the driver."""
    stats = part["stats"].combine_chunks()
    rejected = Counter(reason for reason in part["reason"].to_pylist() if reason is not None)
    return {
        "queries": len(part),
        **{name: int(np.sum(stats.field(name).to_numpy())) for name in SUMMED},
        # One text, since Arrow would make a column of each reason, which the next block does not have.
        "rejected": json.dumps(rejected),
    }


def _windows(
    texts_Q: list[str], candidates: _Candidates, scorer: Scorer, corpus: Corpus | None, queries: list[EncodedText]
) -> Iterator[Window]:
    """Yield the pairs of the block in turn, tokenised as they are asked for.

    The candidates of one query stay together: equal ones have to get the very same score, and tie.

    Args:
        queries: list to which the queries of each window are added as it is asked for.
    """
    first = 0
    for q, span in enumerate(candidates.spans):
        pairs = slice(candidates.spans[first].start, span.stop)
        if pairs.stop - pairs.start >= WINDOW_PAIRS or q == len(candidates.spans) - 1:
            encoded = scorer.encoder.queries(texts_Q[first : q + 1])
            queries += encoded
            documents, document_P = candidates.encoded(pairs, scorer, corpus)
            yield Window(encoded, documents, candidates.query_P[pairs] - first, document_P)
            first = q + 1


class _Candidates:
    """The candidates of all queries of a block, flat."""

    def __init__(self, block: pa.Table) -> None:
        lists = block["corpus_rows"].combine_chunks()
        counts_Q = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        self.corpus_rows_P: NDArray[np.int32] = lists.flatten().to_numpy(zero_copy_only=False)
        ends_Q = np.cumsum(counts_Q)
        self.spans = [slice(int(end - count), int(end)) for end, count in zip(ends_Q, counts_Q, strict=True)]
        self.query_P = np.repeat(np.arange(len(counts_Q)), counts_Q)
        self.initial_ranks_P = _flat(block, "initial_ranks")
        self.initial_scores_P = _flat(block, "initial_scores")
        self.labels_P = _flat(block, "labels")
        self.doc_ids_P = _flat(block, "doc_ids")
        self.texts_P = _flat(block, "texts")
        self._own: dict[str, EncodedText] = {}
        """Texts that candidates bring, each tokenised once, whatever window it is in."""

    @classmethod
    def of(cls, block: pa.Table, corpus: Corpus | None) -> _Candidates:
        found = cls(block)
        assert corpus is not None or (found.corpus_rows_P == UNKNOWN).all(), "corpus rows need their corpus"
        return found

    def encoded(
        self, pairs: slice, scorer: Scorer, corpus: Corpus | None
    ) -> tuple[list[EncodedText], NDArray[np.int64]]:
        """Each distinct document of these pairs once, and for each pair which one it is."""
        corpus_rows_P = self.corpus_rows_P[pairs]
        from_corpus_P = corpus_rows_P != UNKNOWN
        rows, inverse = np.unique(corpus_rows_P[from_corpus_P], return_inverse=True)
        documents = _from_corpus(rows.tolist(), scorer, corpus) if corpus is not None else []
        document_P = np.zeros(len(corpus_rows_P), dtype=np.int64)
        document_P[from_corpus_P] = inverse
        if self.texts_P is not None:
            places = np.flatnonzero(~from_corpus_P)
            texts = [self.texts_P[pairs.start + place] for place in places]
            own = {text: number for number, text in enumerate(dict.fromkeys(texts))}
            document_P[places] = [len(documents) + own[text] for text in texts]
            new = [text for text in own if text not in self._own]
            self._own.update(zip(new, scorer.encoder.documents(new), strict=True))
            documents = documents + [self._own[text] for text in own]
        return _each_once(documents, document_P)


def _each_once(
    documents: list[EncodedText], document_P: NDArray[np.int64]
) -> tuple[list[EncodedText], NDArray[np.int64]]:
    """Make documents of equal content one, so that they get the very same score and tie."""
    numbers: dict[Any, int] = {}
    which = [
        numbers.setdefault((each.ids.tobytes(), each.total) if isinstance(each, Tokens) else each, len(numbers))
        for each in documents
    ]
    if len(numbers) == len(documents):
        return documents, document_P
    first = {number: place for place, number in reversed(list(enumerate(which)))}
    return [documents[first[number]] for number in range(len(numbers))], np.array(which)[document_P]


def _flat(block: pa.Table, name: str) -> list[Any] | None:
    """The values of a list column end to end; None where the whole column is null."""
    column = block[name]
    return None if column.null_count == len(column) else column.combine_chunks().flatten().to_pylist()


def _from_corpus(rows: list[int], scorer: Scorer, corpus: Corpus) -> list[EncodedText]:
    if corpus.encoded is not None:
        return [corpus.encoded[row] for row in rows]
    return scorer.encoder.documents(corpus.store.texts(rows))


def _result(
    row: dict[str, Any],
    query: EncodedText,
    scored: Scored,
    candidates: _Candidates,
    span: slice,
    keep: Keep,
    corpus: Corpus | None,
) -> dict[str, Any]:
    logits_C = scored.logits_P[span]
    reason = row["reason"]
    if reason is None and not np.isfinite(logits_C).all():
        reason = Reason.SCORE_NOT_FINITE
    docs = [] if reason else _ranked(logits_C, scored, candidates, span, keep, corpus)
    return {
        "row": row["row"],
        "query_id": row["query_id"],
        "query": row["query"],
        "status": "rejected" if reason else "ok",
        "reason": reason,
        "docs": docs,
        "stats": {
            "pairs": len(logits_C),
            "tokens": int(scored.tokens_P[span].sum()),
            "padding": int(scored.padding_P[span].sum()),
            "truncated_documents": int((scored.truncated_P[span] > 0).sum()),
            "query_truncated_tokens": query.overflow,
            "tied_documents": _tied(logits_C),
        },
    }


def _ranked(
    logits_C: NDArray[np.float32],
    scored: Scored,
    candidates: _Candidates,
    span: slice,
    keep: Keep,
    corpus: Corpus | None,
) -> list[dict[str, Any]]:
    """The kept documents, best first: by logit, equal ones in the order of the block."""
    scores_C = normalize(logits_C, keep.normalize)
    order = np.argsort(-logits_C, kind="stable")[: keep.top_n or None]
    places = (order + span.start).tolist()
    doc_ids = _of(candidates.doc_ids_P, places) or _ids(candidates, places, corpus)
    ranks = _of(candidates.initial_ranks_P, places)
    initial_scores = _of(candidates.initial_scores_P, places)
    labels = _of(candidates.labels_P, places)
    truncated = scored.truncated_P[places].tolist()
    texts = _texts(candidates, places, corpus) if keep.with_text else None
    docs = []
    for n, c in enumerate(order.tolist()):
        doc = {
            "doc_id": doc_ids[n],
            "rank": n + 1,
            "score": float(scores_C[c]),
            "initial_rank": ranks[n] if ranks else None,
            "initial_score": initial_scores[n] if initial_scores else None,
            "label": labels[n] if labels else None,
            "truncated_tokens": truncated[n],
        }
        if texts is not None:
            doc["text"] = texts[n]
        docs.append(doc)
    return docs


def _of(values: Sequence[Any] | None, places: list[int]) -> list[Any] | None:
    return None if values is None else [values[place] for place in places]


def _ids(candidates: _Candidates, places: list[int], corpus: Corpus | None) -> list[str]:
    assert corpus is not None, "documents without an id come from a corpus"
    return corpus.store.ids(candidates.corpus_rows_P[places].tolist())


def _texts(candidates: _Candidates, places: list[int], corpus: Corpus | None) -> list[str]:
    own = _of(candidates.texts_P, places) or [None] * len(places)
    rows = candidates.corpus_rows_P[places]
    from_corpus = iter(corpus.store.texts(rows[rows != UNKNOWN].tolist()) if corpus is not None else ())
    return [text if text is not None else next(from_corpus) for text in own]


def _tied(logits_C: NDArray[np.float32]) -> int:
    """Number of documents whose logit another document of the list has too."""
    _, counts = np.unique(logits_C, return_counts=True, equal_nan=False)
    return int(counts[counts > 1].sum())
