"""Makes blocks, the unit of work, of retry and of resuming, from groups and a corpus.

A block is a run of neighbouring groups. A group that cannot be mined for is set aside, with its file and line.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossrank.corpus.ids import UNKNOWN, IdIndex, hash_id
from crossrank.corpus.store import TextStore, Usable, refuse_empty
from crossrank.formats.group_files import read_group_files
from crossrank.formats.group_rows import row_of
from crossrank.formats.set_aside import SetAside
from crossrank.mining.layout import BLOCK_SCHEMA
from crossrank.mining.near_duplicates import text_hash
from crossrank.records import Candidate, Group, Reason, Reject, Rejected, document_text, dump_meta

Sibling = dict[str, int]


@dataclass(slots=True)
class Counted:
    """Counts of what was read, for the manifest."""

    groups_read: int = 0
    positives: int = 0
    """Positives of the groups that are mined for."""
    positives_in_corpus: int = 0
    """Positives whose id the corpus has."""
    first_unknown: str = ""
    """Id of the first positive that the corpus does not have, to be named."""


@dataclass(slots=True)
class GroupsToMine:
    """Labelled groups over a corpus, read once to count them and again to write them."""

    uri: str
    corpus: TextStore
    corpus_uri: str
    limit: int | None
    num_groups: int = 0
    """Groups with an id of their own; some may still be set aside."""
    counted: Counted = field(default_factory=Counted)
    _duplicates: set[int] = field(default_factory=set)
    _siblings: dict[int, list[tuple[int, Sibling]]] = field(default_factory=dict)
    """Positives of groups that share a query, each with the place of its group, by the hash of the query."""

    @classmethod
    def read(cls, uri: str, corpus: TextStore, corpus_uri: str, limit: int | None) -> GroupsToMine:
        """Count the groups, and find those that ask the same.

        Raises:
            InputError: there is no group, or no passage that can be used.
        """
        refuse_empty(corpus, corpus_uri, "documents")
        work = cls(uri, corpus, corpus_uri, limit)
        ids, queries = array("Q"), array("Q")
        unreadable = SetAside()
        for _, _, group in work._groups(unreadable):
            ids.append(hash_id(group.query_id))
            queries.append(text_hash(group.query))
        if not ids:
            raise unreadable.nothing_usable(uri, "group")
        work._duplicates = {place for place, _ in IdIndex.of_hashes(ids)[1]}
        work.num_groups = len(ids) - len(work._duplicates)
        work.counted.groups_read = len(ids) + unreadable.counts.total()
        work._find_siblings(np.frombuffer(queries, dtype=np.uint64))
        return work

    def refuse_unusable(self) -> None:
        """Refuse groups of which none can be mined for, with the first reason; reads up to the first that can."""
        set_aside = SetAside()
        num_groups = 0
        for place, (file, line, group) in enumerate(self._groups(set_aside)):
            num_groups += 1
            fault = self._fault(place, group)
            if fault is None:
                return
            set_aside(Rejected(file, line, group.query_id, *fault))
        raise set_aside.nothing_usable(self.uri, "group", self._way_out() if num_groups else "check the file")

    def sample(self, num_groups: int) -> list[Group]:
        """The first groups, to measure the speed with."""
        return [group for _, _, group in islice(self._groups(lambda _: None), num_groups)]

    def blocks(self, groups_per_block: int, reject: Reject) -> Iterator[pa.Table]:
        """Yield tables of `BLOCK_SCHEMA`, each with `groups_per_block` groups but the last.

        Raises:
            InputError: at the end, if no group is left that could be mined for.
        """
        for row in self.corpus.rejected():
            reject(row)
        rows = self._rows(reject)
        while block := list(islice(rows, groups_per_block)):
            yield pa.Table.from_pylist(block, schema=BLOCK_SCHEMA)

    def _groups(self, reject: Reject) -> Iterator[tuple[str, int, Group]]:
        return islice(read_group_files(self.uri, reject), self.limit)

    def _rows(self, reject: Reject) -> Iterator[dict[str, Any]]:
        number = 0
        set_aside = SetAside(reject)
        for place, (file, line, group) in enumerate(self._groups(set_aside)):
            fault = self._fault(place, group)
            if fault is not None:
                set_aside(Rejected(file, line, group.query_id, *fault))
                continue
            siblings = [found for at, found in self._siblings.get(text_hash(group.query), ()) if at != place]
            yield {"row": number, **row_of(group, dump_meta), "siblings": siblings}
            number += 1
        if not number:
            raise set_aside.nothing_usable(self.uri, "group", self._way_out())

    def _fault(self, place: int, group: Group) -> tuple[Reason, str] | None:
        """The reason why a group is set aside; None when it can be mined for."""
        if place in self._duplicates:
            return Reason.DUPLICATE_ID, "an earlier group has this query id; that one is kept"
        if not group.query.strip():
            return Reason.EMPTY_QUERY, "the text is empty or white space"
        positives = positives_of(group)
        if not positives:
            return Reason.NO_POSITIVE, "no document is labelled above 0 and free of flags, so nobody knows what answers"
        rows = self.corpus.rows([doc.doc_id for doc in positives])
        without_text = [doc for doc, row in zip(positives, rows, strict=True) if not self._has_text(doc, int(row))]
        self.counted.positives += len(positives)
        self.counted.positives_in_corpus += int((rows != UNKNOWN).sum())
        if not self.counted.first_unknown and (rows == UNKNOWN).any():
            self.counted.first_unknown = positives[int(np.argmax(rows == UNKNOWN))].doc_id
        if len(without_text) == len(positives):
            doc_id = without_text[0].doc_id
            self.counted.first_unknown = self.counted.first_unknown or doc_id
            return Reason.NO_POSITIVE, f"the positive {doc_id} has no text, and the corpus has none for it"
        return None

    def _has_text(self, doc: Candidate, row: int) -> bool:
        if doc.text is not None:
            return bool(document_text(doc.title, doc.text))
        return row != UNKNOWN and bool(self.corpus.usable(np.array([row]))[0] != Usable.EMPTY)

    def _way_out(self) -> str:
        unknown = self.counted.first_unknown
        if unknown:
            return f"{self.corpus_uri} has none of their positives (such as {unknown}); give the corpus they are from"
        return "a group needs a query and a positive (a document labelled above 0); label some first"

    def _find_siblings(self, queries_G: NDArray[np.uint64]) -> None:
        """Collect the positives of groups that share a query; of the others nothing is kept."""
        asked, counts = np.unique(queries_G, return_counts=True)
        several = set(asked[(counts > 1) & (asked != 0)].tolist())
        if not several:
            return
        found = defaultdict(list)
        for place, (_, _, group) in enumerate(self._groups(lambda _: None)):
            query = int(queries_G[place])
            if query in several:
                positives = [doc for doc in group.docs if doc.label is not None and doc.label > 0]
                rows = self.corpus.rows([doc.doc_id for doc in positives])
                for doc, row in zip(positives, rows.tolist(), strict=True):
                    text = text_hash(document_text(doc.title, doc.text)) if doc.text is not None else 0
                    found[query].append((place, {"id": hash_id(doc.doc_id), "text": text, "row": row}))
        self._siblings = dict(found)


def positives_of(group: Group) -> list[Candidate]:
    """The documents of a group that answer its query and may be trained on."""
    return [doc for doc in group.docs if doc.label is not None and doc.label > 0 and not doc.flags]
