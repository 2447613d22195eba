"""BM25 over a corpus that fits into memory: built once, searched by rows of the corpus.

The index is that of bm25s, whose files it saves and loads: the score of every (term, passage) pair is worked out
beforehand and kept sorted by term. bm25s leaves building an index in a different way open, and this file does so:
its own way takes 40 bytes of memory a posting while it builds, this one 14. (A posting is one distinct term of one
passage.) The search is this file's own too, since bm25s keeps arbitrary passages of those tied at the cut; it is five
times as fast as well.

Shape letters: N passages, V terms, P postings, C candidates of one query.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import bm25s
import numpy as np
from numpy.typing import NDArray

from crossrank.errors import CorpusTooLarge, InputError, SettingsError
from crossrank.retrieval import analysis
from crossrank.retrieval.analysis import Analyser
from crossrank.retrieval.memory import available_memory_bytes

K1 = 0.9
B = 0.4
"""Weights of term frequency and of length: the defaults of Anserini and of the BEIR baselines. See `Bm25Index`."""

ESTIMATE_SAMPLE = 1000
"""Passages from which `Bm25Index.build` foretells its memory."""
BYTES_PER_POSTING = 13.5
"""Peak of memory while building: 4 (term) + 1 (frequency) before the sort, 4 (row) + 4 (score) after it, and slack."""
BYTES_PER_DOCUMENT = 24
BYTES_PER_TERM = 220
"""Memory of a term: a key of a dict, its number, and its share of the arrays of length V."""
VOCABULARY_GROWTH = 0.6
"""Power of N as which V grows (Heaps' law; 0.4 to 0.6 for words, less for bigrams)."""
POSTINGS_PER_CHUNK = 500_000
BYTES_PER_CHUNK_POSTING = 80
"""Memory of temporaries while a chunk is sorted."""

FEW = 8
"""A query with fewer than N / 8 postings is ranked from those rows alone, any other by a pass over all N sums."""

READY = "crossrank.json"
"""File that is written last, so that a folder without it is not an index."""


def estimate_bytes(sample: Sequence[str], analyser: Analyser, num_documents: int) -> int:
    """Peak bytes of memory that building the index takes, from a sample of the corpus; a built index keeps about half.

    The sample has to be like the whole: a corpus sorted by length misleads it.
    """
    terms: set[str] = set()
    num_postings = 0
    for text in sample:
        distinct = set(analyser(text))
        terms |= distinct
        num_postings += len(distinct)
    return _need(num_postings, len(terms), len(sample), num_documents)


def _need(num_postings: int, num_terms: int, num_read: int, num_documents: int) -> int:
    """Peak bytes for `num_documents`, when the first `num_read` had so many postings and terms."""
    times = num_documents / max(num_read, 1)
    all_postings = num_postings * times
    return int(
        all_postings * BYTES_PER_POSTING
        + num_documents * BYTES_PER_DOCUMENT
        + num_terms * times**VOCABULARY_GROWTH * BYTES_PER_TERM
        + min(all_postings, POSTINGS_PER_CHUNK) * BYTES_PER_CHUNK_POSTING
    )


@dataclass(frozen=True, slots=True)
class Bm25Index:
    """An index to search. `build` or `load` makes one.

    The score of a passage d for a query is the sum, over the terms of the query and as often as the query has
    them, of ``idf * tf / (tf + k1 * (1 - b + b * length / mean_length))`` with
    ``idf = ln(1 + (N - df + 0.5) / (df + 0.5))``: Lucene's variant with exact lengths, and without the factor
    ``k1 + 1``, which changes no order. k1 = 0.9 and b = 0.4 are the defaults of Anserini and of the BEIR baselines.

    Source: Robertson & Zaragoza, The Probabilistic Relevance Framework, FnTIR 3(4), 2009; the variant is "Lucene
    (accurate)" of Kamphuis et al., Which BM25 Do You Mean?, ECIR 2020.
    """

    analyser: Analyser
    vocabulary: dict[str, int]
    """Term to its number."""
    scores_P: NDArray[np.float32]
    rows_P: NDArray[np.int32]
    """Row of each posting; those of a term lie together, by ascending row."""
    starts: NDArray[np.int64]
    """Start of each term's postings, shape (V + 1,): term v has the postings ``starts[v]:starts[v + 1]``."""
    num_documents: int
    k1: float = K1
    b: float = B

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        analyser: Analyser,
        *,
        num_documents: int,
        available_bytes: int | None = None,
        k1: float = K1,
        b: float = B,
    ) -> Bm25Index:
        """Index a corpus, read once and in order; the i-th text is row i. Texts and terms are not kept.

        Args:
            num_documents: number of texts that there will be.
            available_bytes: memory it may take; None for what the machine and its control groups leave.

        Raises:
            CorpusTooLarge: the need foretold from the first passages, or later from all those read so far, is over
                `available_bytes`. Raised before that memory is taken.
            InputError: there are more or fewer texts than `num_documents`.
        """
        available = available_memory_bytes() if available_bytes is None else available_bytes
        texts = iter(texts)
        first = list(islice(texts, ESTIMATE_SAMPLE))
        _refuse_too_large(estimate_bytes(first, analyser, num_documents), available, num_documents)

        vocabulary: dict[str, int] = {}
        lengths = array("i")
        chunks: list[_Chunk] = []
        num_postings = 0
        for chunk in _chunks(chain(first, texts), analyser, vocabulary, lengths):
            chunks.append(chunk)
            num_postings += len(chunk.terms_P)
            _refuse_too_large(
                _need(num_postings, len(vocabulary), len(lengths), num_documents), available, num_documents
            )
        if len(lengths) != num_documents:
            raise InputError(
                f"the corpus was counted at {num_documents:,} passages and {len(lengths):,} were read; "
                f"leave it unchanged while it is indexed"
            )
        lengths_N = np.array(lengths, dtype=np.float64)
        mean_length = lengths_N.mean() if lengths_N.any() else 1.0
        saturation_N = k1 * (1 - b + b * lengths_N / mean_length)
        return cls(analyser, vocabulary, *_by_term(chunks, len(vocabulary), saturation_N), num_documents, k1, b)

    def search(self, queries: Sequence[str], depth: int) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """The best passages of each query.

        A query's result depends on the query alone, not on the others beside it nor on the order of its words.

        Args:
            depth: passages wanted for a query, at least 1. There are fewer where fewer share a term with it; none
                for a query without terms that the corpus has.

        Returns:
            For each query the rows and the scores, both of shape (C,), C <= `depth`: scores above 0, descending;
            equal scores by ascending row, at the cut as well.
        """
        if depth < 1:
            raise SettingsError(f"the depth is {depth}, and a search wants at least 1 passage a query; set --depth")
        sums_N = np.zeros(self.num_documents, dtype=np.float32)
        return [self._search(query, depth, sums_N) for query in queries]

    def _search(
        self, query: str, depth: int, sums_N: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Search with a scratch array of zeros, which is all zeros again afterwards."""
        times = Counter(self.vocabulary[term] for term in self.analyser(query) if term in self.vocabulary)
        if not times:
            return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
        postings = {term: slice(self.starts[term], self.starts[term + 1]) for term in sorted(times)}
        for term, span in postings.items():
            np.add.at(sums_N, self.rows_P[span], self.scores_P[span] * np.float32(times[term]))
        rows_by_term = sorted((self.rows_P[span] for span in postings.values()), key=len)
        if sum(map(len, rows_by_term)) < self.num_documents // FEW:
            rows = np.unique(np.concatenate(rows_by_term))
            scores = sums_N[rows]
            sums_N[rows] = 0.0
        else:
            # The best of the rarest term with `depth` passages bound the cut from below: few pass, one look each.
            rarest = next((rows for rows in rows_by_term if len(rows) >= depth), None)
            bound = np.float32(0.0) if rarest is None else _score_at_cut(sums_N[rarest], depth)
            rows = np.flatnonzero((sums_N >= bound) & (sums_N > 0)).astype(np.int32)
            scores = sums_N[rows]
            sums_N.fill(0.0)
        return best(rows, scores, depth)

    def save(self, folder: Path | str) -> None:
        """Write the index to a local folder, as bm25s reads it."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / READY).unlink(missing_ok=True)
        index = bm25s.BM25(k1=self.k1, b=self.b, method="lucene")
        index.scores = {
            "data": self.scores_P,
            "indices": self.rows_P,
            "indptr": self.starts,
            "num_docs": self.num_documents,
        }
        index.vocab_dict = self.vocabulary
        index.nonoccurrence_array = None
        index.save(folder, show_progress=False)
        (folder / READY).write_text(json.dumps({"language": self.analyser.name}))

    @classmethod
    def load(cls, folder: Path | str, *, mmap: bool = True) -> Bm25Index:
        """Read what `save` wrote. With `mmap` the processes of a machine share one copy of all but the vocabulary.

        Raises `InputError` where `save` did not come to its end.
        """
        folder = Path(folder)
        try:
            language = json.loads((folder / READY).read_text())["language"]
        except FileNotFoundError as error:
            raise InputError(f"{folder} holds no finished BM25 index; build it again") from error
        index = bm25s.BM25.load(folder, mmap=mmap, show_progress=False)
        # np.asarray: slicing a np.memmap is slow, slicing an array over the same pages is not.
        return cls(
            analysis.analyser(language),
            index.vocab_dict,
            np.asarray(index.scores["data"]),
            np.asarray(index.scores["indices"]),
            np.asarray(index.scores["indptr"]),
            index.scores["num_docs"],
            index.k1,
            index.b,
        )


def best(
    rows_C: NDArray[np.int32], scores_C: NDArray[np.float32], depth: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The `depth` highest scores, descending, equal ones by ascending row.

    Partitioning finds the score at the cut; all that reach it are sorted, so that ties there are decided by row.
    """
    if len(scores_C) > depth:
        reach = scores_C >= _score_at_cut(scores_C, depth)
        rows_C, scores_C = rows_C[reach], scores_C[reach]
    order = np.lexsort((rows_C, -scores_C))[:depth]
    return rows_C[order], scores_C[order]


def _score_at_cut(scores_C: NDArray[np.float32], depth: int) -> np.float32:
    """The `depth`-th highest score; there are at least so many."""
    cut = len(scores_C) - depth
    return np.partition(scores_C, cut)[cut]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The postings of a run of passages, passage by passage."""

    terms_P: NDArray[np.int32]
    frequencies_P: NDArray[np.unsignedinteger]
    """Frequency of each posting, in the narrowest type that holds them all: nearly always a byte."""
    num_terms_N: NDArray[np.int32]
    """Number of postings of each passage of the run."""


def _chunks(
    texts: Iterable[str], analyser: Analyser, vocabulary: dict[str, int], lengths: array[int]
) -> Iterator[_Chunk]:
    """Count the terms of each text, numbering new ones in `vocabulary` and adding its length to `lengths`."""
    terms, frequencies, num_terms = array("i"), array("I"), array("i")
    for text in texts:
        counts = Counter(analyser(text))
        terms.extend([vocabulary.setdefault(term, len(vocabulary)) for term in counts])
        frequencies.extend(counts.values())
        num_terms.append(len(counts))
        lengths.append(counts.total())
        if len(terms) >= POSTINGS_PER_CHUNK:
            yield _sealed(terms, frequencies, num_terms)
            terms, frequencies, num_terms = array("i"), array("I"), array("i")
    yield _sealed(terms, frequencies, num_terms)


def _sealed(terms: array[int], frequencies: array[int], num_terms: array[int]) -> _Chunk:
    narrowest = np.min_scalar_type(max(frequencies, default=0))
    return _Chunk(
        np.array(terms, dtype=np.int32),
        np.array(frequencies, dtype=np.uint32).astype(narrowest),
        np.array(num_terms, dtype=np.int32),
    )


def _by_term(
    chunks: list[_Chunk], num_terms: int, saturation_N: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int64]]:
    """Score the postings and lay them out term by term. Takes the chunks out of the list, to free them as it goes.

    Returns scores and rows of shape (P,), and starts of shape (V + 1,).
    """
    document_frequency_V = np.zeros(num_terms, dtype=np.int64)
    for chunk in chunks:
        np.add.at(document_frequency_V, chunk.terms_P, 1)
    starts = np.concatenate([[0], np.cumsum(document_frequency_V)])
    idf_V = np.log1p((len(saturation_N) - document_frequency_V + 0.5) / (document_frequency_V + 0.5))

    scores_P = np.empty(starts[-1], dtype=np.float32)
    rows_P = np.empty(starts[-1], dtype=np.int32)
    next_place_V = starts[:-1].copy()
    first_row = 0
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        next_row = first_row + len(chunk.num_terms_N)
        rows = np.repeat(np.arange(first_row, next_row, dtype=np.int32), chunk.num_terms_N)
        frequencies = chunk.frequencies_P.astype(np.float64)
        scores = idf_V[chunk.terms_P] * (frequencies / (frequencies + saturation_N[rows]))
        # The place in the chunk is the low half of the key: a plain sort is then stable, and faster than an argsort.
        keys = (chunk.terms_P.astype(np.int64) << 32) | np.arange(len(rows))
        keys.sort()
        order, terms = keys & 0xFFFFFFFF, keys >> 32
        run_starts = np.flatnonzero(np.diff(terms, prepend=-1))
        run_lengths = np.diff(run_starts, append=len(terms))
        run_terms = terms[run_starts]
        places = np.arange(len(terms)) + np.repeat(next_place_V[run_terms] - run_starts, run_lengths)
        scores_P[places] = scores[order]
        rows_P[places] = rows[order]
        next_place_V[run_terms] += run_lengths
        first_row = next_row
    return scores_P, rows_P, starts


def _refuse_too_large(need: int, available: int, num_documents: int) -> None:
    if need > available:
        raise CorpusTooLarge(
            f"BM25 over {num_documents:,} passages needs about {_readable(need)} and {_readable(available)} of memory "
            f"are available; take a smaller corpus or a bigger machine, or rerank a TREC run of another engine "
            f"(--candidates RUN)"
        )


def _readable(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:,.1f} MB"
