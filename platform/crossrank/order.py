"""The initial rank of a group's documents, and what stands in its place where there is none.

A list of labelled documents often has its positives first: training data is written so. Whoever breaks ties by such an
order, or cuts it at a depth, measures the labels and not the model. So where the documents do not say their ranks,
those who measure take them in an order by a hash, which knows no label: a model that gives every document the same
score is then worth what a guess is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TypeVar

from crossrank.records import Candidate

Item = TypeVar("Item")


def by_rank(docs: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The documents by their ranks, whatever place they have in the list.

    Ranks may count from 0 or from 1. Documents without one follow; equal ranks, and no ranks, keep the list's order.
    """
    return tuple(sorted(docs, key=lambda doc: (doc.rank is None, doc.rank or 0)))


def contradicts_ranks(docs: Sequence[Candidate]) -> bool:
    """Whether a document stands before one of a lower rank. Those without a rank say nothing, wherever they stand."""
    ranks = [doc.rank for doc in docs if doc.rank is not None]
    return ranks != sorted(ranks)


def has_ranks(docs: Sequence[Candidate]) -> bool:
    """Whether any two documents differ in rank, or only one of them has one."""
    return len({doc.rank for doc in docs}) > 1


def is_ranked(docs: Sequence[Candidate]) -> bool:
    """Whether every document says its initial rank; the same rank for all says nothing."""
    return all(doc.rank is not None for doc in docs) and (len(docs) < 2 or has_ranks(docs))


def by_hash(query_id: str, items: Sequence[Item], told: Callable[[Item], tuple[str, str]]) -> list[Item]:
    """The items in an order that depends on the query id and their texts alone: equal on every machine and every day.

    Args:
        told: the text of a document, and its id, which decides between equal texts.
    """

    def key(item: Item) -> list[bytes]:
        return [_hash(query_id, each) for each in told(item)]

    return sorted(items, key=key)


def _hash(*parts: str) -> bytes:
    hashed = blake2b(digest_size=16)
    for part in parts:
        content = part.encode(errors="surrogatepass")
        hashed.update(len(content).to_bytes(8, "little") + content)
    return hashed.digest()
