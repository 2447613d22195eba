"""The sample that ships with the package: the manual of an invented robot vacuum, in English and Korean."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crossrank.records import document_text

FOLDER = Path(__file__).parent / "sample"
Split = Literal["train", "test"]
JUDGED: dict[Split, str] = {"train": "ko", "test": "en"}
"""Language whose folder has the judgements of a half. They hold for both languages, whose ids are the same."""


@dataclass(frozen=True, slots=True)
class DemoSample:
    """One language and one half of the sample."""

    documents: dict[str, str]
    """Texts of all passages by id, of both halves: a question has to find its passage among all."""
    queries: dict[str, str]
    """Questions of this half by id."""
    relevant: dict[str, str]
    """Ids of the passages that answer the questions, by question."""


def read_sample(language: str, split: Split) -> DemoSample:
    """The sample of a language, with the questions of one half."""
    documents = {row["_id"]: document_text(row["title"], row["text"]) for row in _rows(language, "corpus")}
    queries = {row["_id"]: row["text"] for row in _rows(language, "queries")}
    judgements = FOLDER / JUDGED[split] / "qrels" / f"{split}.tsv"
    judged = [line.split("\t") for line in judgements.read_text().splitlines()[1:]]
    relevant = {query_id: doc_id for query_id, doc_id, _ in judged}
    return DemoSample(documents, {query_id: queries[query_id] for query_id in relevant}, relevant)


def _rows(language: str, name: str) -> list[dict[str, str]]:
    lines = (FOLDER / language / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]
