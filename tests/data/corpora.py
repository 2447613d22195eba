"""Groups that repeat their texts, and what a translation by the server on the loopback makes of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank.formats.groups_parquet import read_groups, write_groups
from crossrank.records import Candidate, Group
from crossrank.translation.origin import with_origin
from tests.data.amazon_server import translation_of

WORDS = ("river", "stone", "winter", "battery", "manual", "harbour", "engine", "letter", "garden", "signal", "bread")


def made(num_groups: int, num_texts: int, docs: int = 2, seed: int = 0) -> list[Group]:
    """Groups over so many unique texts, all of which occur; a fifth of them are queries."""
    rng = random.Random(seed)
    num_queries = num_texts // 5
    texts = [f"{' '.join(rng.choices(WORDS, k=rng.randint(3, 40)))} number {number}." for number in range(num_texts)]
    queries, passages = texts[:num_queries], texts[num_queries:]
    groups = []
    for number in range(num_groups):
        taken = [(number * docs + place) % len(passages) for place in range(docs)]
        labels = [1.0] + [0.0] * (docs - 1)
        found = zip(taken, labels, strict=True)
        candidates = tuple(Candidate(f"d{at}", passages[at], label=label) for at, label in found)
        groups.append(Group(f"q{number}", queries[number % num_queries], candidates, meta={"row": number}))
    return groups


def unique_texts(groups: list[Group]) -> set[str]:
    """All texts, each once."""
    return {group.query for group in groups} | {doc.text or "" for group in groups for doc in group.docs}


def expected(groups: list[Group], target: str = "ko") -> Iterator[Group]:
    """The groups as the server translates them."""

    def of(text: str | None) -> str | None:
        return None if text is None else translation_of(text, target)

    for group in groups:
        docs = tuple(
            replace(
                doc, title=of(doc.title), text=of(doc.text), meta=with_origin(doc.meta, title=doc.title, text=doc.text)
            )
            for doc in group.docs
        )
        meta = with_origin(group.meta, lang="en", query=group.query)
        yield replace(group, query=translation_of(group.query, target), lang=target, docs=docs, meta=meta)


def write(folder: Path, groups: list[Group]) -> str:
    """One Parquet file of them."""
    uri = str(folder / "groups.parquet")
    write_groups(uri, groups)
    return uri


def read(output: str) -> list[Group]:
    """The groups of an output folder, in their order."""

    def fail(row: Any) -> None:
        raise AssertionError(row)

    reject: Callable[[Any], None] = fail
    return [group for _, group in read_groups(output, reject)]


def table(output: Path) -> pa.Table:
    """The output as any Parquet reader sees it."""
    return pq.read_table(output)
