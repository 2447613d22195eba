"""`GroupStore`: labelled groups in memory-mapped files, converted once a node and shared by its ranks.

Half a million groups open at once and cost a rank nothing until it reads them: numbers are mapped arrays, texts a
`TextStore`, and documents that are named by id stay rows of the corpus store.

Shape letters: G groups, N documents of all groups, D documents of one.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.ids import UNKNOWN, hash_id
from crossrank.corpus.source import CorpusSource
from crossrank.corpus.store import SourceRow, TextStore, Usable, open_store
from crossrank.errors import InputError
from crossrank.formats.document_order import is_ranked
from crossrank.formats.group_files import fingerprint_of_groups, read_group_files, read_group_queries
from crossrank.formats.repeated import each_once
from crossrank.formats.set_aside import SetAside
from crossrank.records import Reason, Reject, Rejected, document_text
from crossrank.storage.node_cache import build_once
from crossrank.training.group_reading import GroupReading, fault_of, is_positive, text_of
from crossrank.training.labelled_twice import Positives, key_of_text

LAYOUT = "7"
"""Version of the files of a store. Raise it when they change, so that an old cache is not read as a new one."""

Use = Literal["train", "validate"]


@dataclass(frozen=True, slots=True)
class Queries:
    """Groups at a URI whose queries an evaluation measures on later."""

    uri: str
    fingerprint: str

    def hashes(self) -> set[int]:
        """64 bits for each query; rows without one are left out."""
        return {key_of_text(query) for query in read_group_queries(self.uri)}


@dataclass(frozen=True, slots=True)
class GroupSource:
    """Groups at a URI, and which of them are taken. It travels to every node instead of the texts."""

    uri: str
    fingerprint: str
    use: Use
    """``train`` keeps judged documents and groups with both kinds; ``validate`` keeps unjudged ones too, and groups
    that have a positive. Documents that a filter flagged are in neither."""
    corpus: CorpusSource | None = None
    """Corpus in which documents without text are looked up."""
    needs_teacher: bool = False
    """Whether every document needs a teacher score."""
    low: float = 0.0
    high: float = 1.0
    """Bounds of the part that is taken: groups whose query, hashed to a number from 0 to 1, is at or above `low` and
    below `high`."""
    limit: int | None = None
    """Groups that are read at most, from the first."""
    held_out: GroupSource | None = None
    """Groups of other files whose queries must not be in this store."""
    measured: Queries | None = None
    """Queries that must not be in this store either."""

    def takes(self, query: str) -> bool:
        """Whether the groups of a query are in this part: the query alone decides, so all of them are in one."""
        share = (key_of_text(query) >> 11) / (1 << 53)  # exact in a float, and so below 1 for every query
        return self.low <= share < self.high

    @property
    def is_last(self) -> bool:
        """Whether this part reports the lines that are no groups: they are in no part, and are reported once."""
        return self.high == 1

    @property
    def key(self) -> str:
        """Name of the store in the cache, equal for sources that give the same one."""
        return hashlib.sha256(repr((LAYOUT, astuple(self))).encode()).hexdigest()[:32]

    def open(self) -> GroupStore:
        """The store on this machine, converted now where the cache lacks it.

        Raises:
            InputError: no group can be used, a document has neither text nor corpus, the file has changed.
        """
        corpus = self.corpus.open() if self.corpus else None
        folder = storage.cache_folder() / "groups" / self.key
        build_once(folder, lambda new: _convert(new, self, corpus))
        return GroupStore(folder, corpus)


class GroupDocuments(NamedTuple):
    """The documents of one group. In a validation their order breaks ties: see `crossrank.formats.document_order`."""

    rows_D: NDArray[np.int64]
    """Rows of the corpus; a number below 0 is ``~row`` of the store's own texts."""
    labels_D: NDArray[np.float64]
    """Labels, above 0 for a positive; NaN where unjudged."""
    teachers_D: NDArray[np.float32]
    """Teacher scores; NaN where there is none."""


class GroupStore:
    """Groups by number. Open or make one with `GroupSource.open`."""

    def __init__(self, folder: Path, corpus: TextStore | None) -> None:
        self._offsets_G1: NDArray[np.int64] = np.load(folder / "offsets.npy", mmap_mode="r")
        self.rows_N: NDArray[np.int64] = np.load(folder / "rows.npy", mmap_mode="r")
        self._labels_N: NDArray[np.float64] = np.load(folder / "labels.npy", mmap_mode="r")
        self._teachers_N: NDArray[np.float32] = np.load(folder / "teachers.npy", mmap_mode="r")
        self._queries_G: NDArray[np.int64] = np.load(folder / "queries.npy", mmap_mode="r")
        self._ranked_G: NDArray[np.bool_] = np.load(folder / "ranked.npy", mmap_mode="r")
        self._key = folder.name
        self.own = TextStore(folder / "texts")
        """Texts of the queries, and of the documents that came with theirs."""
        self.corpus = corpus

    def __len__(self) -> int:
        return len(self._queries_G)

    @property
    def num_documents(self) -> int:
        return len(self.rows_N)

    def documents(self, group: int) -> GroupDocuments:
        span = slice(int(self._offsets_G1[group]), int(self._offsets_G1[group + 1]))
        return GroupDocuments(
            np.array(self.rows_N[span]), np.array(self._labels_N[span]), np.array(self._teachers_N[span])
        )

    def hashes(self, groups: Sequence[int]) -> list[int]:
        """64 bits for each of these groups, from its query id."""
        return [hash_id(query_id) for query_id in self.query_ids(groups)]

    def query_ids(self, groups: Sequence[int]) -> list[str]:
        return self.own.ids(int(self._queries_G[group]) for group in groups)

    def queries(self, groups: Sequence[int]) -> list[str]:
        return self.own.texts(int(self._queries_G[group]) for group in groups)

    def texts(self, rows: Sequence[int]) -> list[str]:
        """The texts that the model reads of these documents, given by `GroupDocuments.rows_D`."""
        text_of_row = dict[int, str]()
        for store, taken in ((self.corpus, [row for row in rows if row >= 0]), (self.own, [r for r in rows if r < 0])):
            if taken:
                assert store is not None, "a row of the corpus was found in the corpus"
                text_of_row.update(zip(taken, store.texts(row if row >= 0 else ~row for row in taken), strict=True))
        return [text_of_row[row] for row in rows]

    def key_of(self, store: TextStore) -> str:
        """Name of the content of one of the two text stores, for caches of what is worked out from it."""
        return self._key if store is self.own else store.key

    def teacher_range(self) -> tuple[float, float]:
        """Lowest and highest teacher score; NaN where there is none."""
        scores_N = self._teachers_N[np.isfinite(self._teachers_N)]
        return (float(scores_N.min()), float(scores_N.max())) if len(scores_N) else (math.nan, math.nan)

    @property
    def all_ranked(self) -> bool:
        """Whether every document says its initial rank, so that there is an order without a reranker."""
        return bool(self._ranked_G.all())

    def rejected(self) -> Iterator[Rejected]:
        """Groups and documents that were set aside while converting."""
        return self.own.rejected()

    def rejected_counts(self) -> dict[str, int]:
        return dict(Counter(str(row.reason) for row in self.rejected()))


def _convert(folder: Path, source: GroupSource, corpus: TextStore | None) -> None:
    arrays = _Arrays()
    open_store(folder / "texts", lambda reject: _texts(source, corpus, arrays, reject), Reason.EMPTY_QUERY)
    own = TextStore(folder / "texts")
    set_aside = SetAside()
    for row in own.rejected():
        set_aside(row)
    kept_G = own.usable(np.array(arrays.queries, dtype=np.int64)) == Usable.YES
    if not kept_G.any():
        raise _nothing_usable(source, set_aside, arrays.num_of_others)
    if fingerprint_of_groups(source.uri) != source.fingerprint:
        raise InputError(f"{source.uri} changed while it was read; leave it unchanged and run the same command again")
    arrays.save(folder, kept_G)


def _nothing_usable(source: GroupSource, set_aside: SetAside, num_of_others: int) -> InputError:
    if num_of_others and not set_aside.counts:
        part, way_out = (
            ("to train on", "lower it")
            if source.use == "train"
            else ("for validation", "raise it, or give --eval-groups")
        )
        return InputError(
            f"--eval-fraction leaves none of the {num_of_others:,} groups of {source.uri} {part}; {way_out}"
        )
    reasons = [set_aside.in_words()] if set_aside.counts else []
    reasons += [f"{num_of_others:,} on the other side of --eval-fraction"] if num_of_others else []
    return InputError(
        f"{source.uri} holds no group that can be used to {source.use} ({', '.join(reasons) or 'it is empty'}); a "
        f"group has a document labelled above 0{' and one labelled 0' if source.use == 'train' else ''}"
        f"{', each with a teacher_score' if source.needs_teacher else ''}"
    )


class _Arrays:
    """The numbers of the groups, which grow while the groups are read."""

    def __init__(self) -> None:
        self.offsets = array("q", [0])
        self.rows = array("q")
        self.labels = array("d")
        self.teachers = array("f")
        self.queries = array("q")
        self.ranked = array("b")
        self.num_of_others = 0
        """Groups that are in another part."""

    def save(self, folder: Path, kept_G: NDArray[np.bool_]) -> None:
        """Write the arrays of the groups that are kept: duplicates, which the text store found, are left out."""
        offsets_G1 = np.array(self.offsets, dtype=np.int64)
        sizes_G = offsets_G1[1:] - offsets_G1[:-1]
        kept_N = np.repeat(kept_G, sizes_G)
        np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(sizes_G[kept_G])]))
        np.save(folder / "rows.npy", np.array(self.rows, dtype=np.int64)[kept_N])
        np.save(folder / "labels.npy", np.array(self.labels, dtype=np.float64)[kept_N])
        np.save(folder / "teachers.npy", np.array(self.teachers, dtype=np.float32)[kept_N])
        np.save(folder / "queries.npy", np.array(self.queries, dtype=np.int64)[kept_G])
        np.save(folder / "ranked.npy", np.array(self.ranked, dtype=bool)[kept_G])


def _texts(source: GroupSource, corpus: TextStore | None, arrays: _Arrays, reject: Reject) -> Iterator[SourceRow]:
    """The rows of the store of texts: for each usable group its query, then the documents that bring their text."""

    def reject_once(rejected: Rejected) -> None:
        if source.is_last:
            reject(rejected)

    held_out = source.held_out.open() if source.held_out else None
    measured = {key_of_text(query) for query in held_out.queries(range(len(held_out)))} if held_out else set()
    measured |= source.measured.hashes() if source.measured else set()
    positives = _positives(source, corpus) if source.use == "train" else None
    row = 0
    for file, line, group in islice(read_group_files(source.uri, reject_once), source.limit):
        if not source.takes(group.query):
            arrays.num_of_others += 1
            continue
        if key_of_text(group.query) in measured:
            reject(Rejected(file, line, group.query_id, Reason.HELD_OUT, "its query is among the held-out groups"))
            continue
        read = GroupReading(source.needs_teacher, corpus, positives, (file, line, group.query_id), group, reject)
        if not read.is_usable():
            continue
        arrays.queries.append(row)
        arrays.ranked.append(is_ranked([doc for doc, _ in read.kept]))
        kept = read.kept if source.use == "train" else read.in_initial_order()
        yield SourceRow(file, line, group.query_id, group.query)
        row += 1
        for place, (doc, corpus_row) in enumerate(kept):
            arrays.labels.append(float("nan") if doc.label is None else doc.label)
            arrays.teachers.append(float("nan") if doc.teacher_score is None else doc.teacher_score)
            if corpus_row != UNKNOWN:
                arrays.rows.append(corpus_row)
                continue
            arrays.rows.append(~row)
            # No query id has a line break, so this id is nobody else's.
            yield SourceRow(file, line, f"{row}\n{place}", document_text(doc.title, doc.text))
            row += 1
        arrays.offsets.append(len(arrays.rows))


def _positives(source: GroupSource, corpus: TextStore | None) -> Positives:
    """The documents that any group of the source labels above 0, be it set aside for another reason."""
    found = Positives()
    for _, _, group in islice(read_group_files(source.uri, lambda _: None), source.limit):
        if source.takes(group.query):
            positive = {doc.doc_id for doc in group.docs if is_positive(doc) and not doc.flags}
            docs = [doc for doc in group.docs if doc.doc_id in positive and doc.label is not None and not doc.flags]
            rows = corpus.rows([doc.doc_id for doc in docs]).tolist() if corpus else [UNKNOWN] * len(docs)
            usable = [place for place, doc in enumerate(docs) if fault_of(doc, rows[place], corpus) is None]
            kept = each_once(docs, usable).kept
            found.add(group.query, [text_of(each.doc, rows[each.content], corpus) for each in kept])
    return found
