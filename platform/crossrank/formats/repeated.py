"""A document that stands in a group more than once is one document: its highest label counts, and its best rank.

Collections that are put together judge a document twice, and lists of several first stages name it twice. Whoever takes
the first loses a positive that stands behind a 0; whoever takes both scores, ranks or writes one document twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from crossrank.records import Candidate, Group
from crossrank.telemetry.progress import say


class KeptDocument(NamedTuple):
    """A document as all of its copies have it."""

    doc: Candidate
    """The copy with the highest label, with the rank and the score of the copy that has the best rank."""
    content: int
    """Place in the list of the copy with the highest label, whose text it is."""
    place: int
    """Place in the list of the copy with the best rank."""


class Once(NamedTuple):
    """The documents of a group, each once."""

    kept: list[KeptDocument]
    """Documents in the order of `KeptDocument.place`."""
    repeated: list[str]
    """A sentence for each copy that is left out."""


def highest_labels(docs: Iterable[Candidate]) -> dict[str, float | None]:
    """The label of each document by its id: the highest of its copies; None where no copy is judged."""
    found: dict[str, float | None] = {}
    for doc in docs:
        before = found.setdefault(doc.doc_id, doc.label)
        if doc.label is not None and (before is None or doc.label > before):
            found[doc.doc_id] = doc.label
    return found


def each_once(docs: Sequence[Candidate], usable: Iterable[int] | None = None) -> Once:
    """Make one document of those that have one id.

    Args:
        docs: documents of one group.
        usable: places of those that can be used; by default all. Of the others only the label counts, and only where
            another copy can be used.
    """
    labels = highest_labels(docs)
    copies: defaultdict[str, list[int]] = defaultdict(list)
    for place in range(len(docs)) if usable is None else usable:
        copies[docs[place].doc_id].append(place)
    kept: list[KeptDocument] = []
    repeated: list[str] = []
    for doc_id, places in copies.items():
        content = max(places, key=lambda place: _height(docs[place].label))  # the first of equal ones
        best = min(places, key=lambda place: _rank(docs[place]))
        doc = replace(docs[content], label=labels[doc_id], rank=docs[best].rank, score=docs[best].score)
        kept.append(KeptDocument(doc, content, best))
        repeated += [_sentence(docs, content, place) for place in places if place != content]
    return Once(sorted(kept, key=lambda each: each.place), repeated)


def each_document_once(groups: Iterable[Group], uri: str) -> Iterator[Group]:
    """The groups with each document once, for a file that names documents by their ids.

    What was left out is said at the end, with its count.

    Args:
        uri: the file, for the report.
    """
    num_repeated = 0
    try:
        for group in groups:
            once = each_once(group.docs)
            num_repeated += len(once.repeated)
            yield replace(group, docs=tuple(each.doc for each in once.kept)) if once.repeated else group
    finally:
        say_repeated(uri, num_repeated)


def say_repeated(uri: str, num_repeated: int) -> None:
    """Say how many copies of documents a file does without, if there were any."""
    if num_repeated:
        say(
            f"{uri}: documents that stood in their group again: {num_repeated:,}; each is written once, with its "
            f"highest label and its best rank"
        )


def _height(label: float | None) -> float:
    return float("-inf") if label is None else label


def _rank(doc: Candidate) -> tuple[bool, int]:
    return doc.rank is None, doc.rank or 0


def _sentence(docs: Sequence[Candidate], content: int, other: int) -> str:
    winner, label = docs[content], docs[content].label
    if content < other and label == docs[other].label:
        which = "the first"
    elif label is not None and label > 0 >= (docs[other].label or 0):
        which = "the one labelled above 0"
    else:
        which = "the first" if label is None else f"the one labelled {label:g}"
    return f"document {winner.doc_id} stands twice in the group; {which} is kept"
