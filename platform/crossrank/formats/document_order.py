"""The initial order of a group's documents: one rule for all who rank, cut, measure or write them.

Ranks decide wherever any are there. A list of labelled documents without ranks often has its positives first: training
data is written so. Whoever breaks ties by such an order, or cuts it at a depth, measures the labels and not the model.
So these are taken in an order by a hash, which knows no label: a model that gives every document the same score is
then worth what a guess is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from crossrank.records import Candidate


def initial_order(query_id: str, docs: Sequence[Candidate], text: Callable[[int], str | None]) -> list[int]:
    """Places of the documents in their initial order, which breaks ties and is cut at a depth.

    Where ranks say an order, they decide: documents without one follow in the order of the list, equal ranks keep it.
    Where they say none, labelled documents stand by a hash of the query id and their texts, then their ids, which is
    equal on every machine and every day; without labels the list stands as it is.

    Args:
        text: function that gives the text of the document at a place; None where it has none.
    """
    places = range(len(docs))
    if has_ranks(docs):
        return sorted(places, key=lambda place: _rank(docs[place]))
    if all(doc.label is None for doc in docs):
        return list(places)
    return sorted(places, key=lambda place: [_hash(query_id, each) for each in (text(place) or "", docs[place].doc_id)])


def by_rank(docs: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The documents by their ranks, whatever place they have in the list.

    Ranks may count from 0 or from 1. Documents without one follow; equal ranks, and no ranks, keep the list's order.
    """
    return tuple(sorted(docs, key=_rank))


def contradicts_ranks(docs: Sequence[Candidate]) -> bool:
    """Whether a document stands before one of a lower rank. Those without a rank say nothing, wherever they stand.

    Of one that stands in the list again, its best rank alone is a statement.
    """
    by_rank = sorted(range(len(docs)), key=lambda place: _rank(docs[place]))
    best = {docs[place].doc_id: place for place in reversed(by_rank)}
    ranks = [rank for rank in (docs[place].rank for place in sorted(best.values())) if rank is not None]
    return ranks != sorted(ranks)


def has_ranks(docs: Sequence[Candidate]) -> bool:
    """Whether ranks say an order: any document has one, but not all the same, which says as little as none."""
    return len({doc.rank for doc in docs}) > 1


def is_ranked(docs: Sequence[Candidate]) -> bool:
    """Whether every document says its initial rank, so that there is a first stage to measure."""
    return all(doc.rank is not None for doc in docs) and (len(docs) < 2 or has_ranks(docs))


def _rank(doc: Candidate) -> tuple[bool, int]:
    return doc.rank is None, doc.rank or 0


def _hash(*parts: str) -> bytes:
    hashed = blake2b(digest_size=16)
    for part in parts:
        content = part.encode(errors="surrogatepass")
        hashed.update(len(content).to_bytes(8, "little") + content)
    return hashed.digest()
