"""Real texts that benchmarks score: those of ../shared/data where it is, in a plain clone the demo's sample."""

from __future__ import annotations

import json

from machine import DATA

from crossrank.demo.sample import read_sample


def source() -> str:
    """Where the texts come from, for the head of a result."""
    return "wikiqa and korquad" if DATA.exists() else "the demo's sample"


def english() -> tuple[list[str], list[str]]:
    """Queries and sentences."""
    if DATA.exists():
        rows = _lines("wikiqa/train.jsonl")
        return [row["query"] for row in rows], [text for row in rows for text in row["pos"] + row["neg"]]
    queries, passages = _sample("en")
    return queries, _sentences(passages)


def korean() -> tuple[list[str], list[str]]:
    """Queries and sentences."""
    if DATA.exists():
        queries = [row["text"] for row in _lines("korquad/queries.jsonl")]
        passages = [row["text"] for row in _lines("korquad/corpus.jsonl")]
    else:
        queries, passages = _sample("ko")
    return queries, _sentences(passages)


def _sample(language: str) -> tuple[list[str], list[str]]:
    train, test = read_sample(language, "train"), read_sample(language, "test")
    return [*train.queries.values(), *test.queries.values()], list(train.documents.values())


def _sentences(passages: list[str]) -> list[str]:
    return [part.strip() + "." for passage in passages for part in passage.split(". ") if part.strip()]


def _lines(name: str) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
