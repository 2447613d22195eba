"""Queries, a corpus and a run, written in the test, and what preparing makes of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from crossrank.corpus.source import CorpusSource, QuerySource
from crossrank.records import Rejected
from crossrank.reranking.prepare import RerankWork, Sources, read_work
from crossrank.reranking.settings import RerankSettings
from crossrank.storage.content_hash import fingerprint

QUERIES = """\
{"_id": "q1", "text": "red cat"}
{"_id": "q2", "text": "blue dog"}
{"_id": "q3", "text": "green bird"}
"""
CORPUS = """\
{"_id": "d1", "text": "a red cat"}
{"_id": "d2", "text": "a blue dog and a red dog"}
{"_id": "d3", "text": "one cat"}
{"_id": "d4", "text": "green green grass"}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@dataclass
class Prepared:
    """The rows of the blocks and what was set aside, with documents by id."""

    work: RerankWork
    rows: list[dict[str, Any]]
    rejected: list[Rejected]
    docs: dict[str, list[str]] = field(default_factory=dict)
    """Query id to the ids of its candidates, in order."""

    @property
    def reasons(self) -> dict[str, str | None]:
        """Query id to the reason why it cannot be scored."""
        return {row["query_id"]: row["reason"] for row in self.rows}


Prepare = Callable[..., Prepared]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Prepare texts as files: ``prepare(queries=..., corpus=..., run=..., groups=..., depth=...)``."""

    def prepare(
        queries: str | None = QUERIES,
        corpus: str | None = CORPUS,
        run: str | None = None,
        groups: str | None = None,
        **settings: Any,
    ) -> Prepared:
        def write(name: str, content: str | None) -> str | None:
            if content is None:
                return None
            (tmp_path / name).write_text(content)
            return str(tmp_path / name)

        if groups is not None:
            queries = None
        given = RerankSettings(
            model="stand-in",
            output="unused",
            queries=write("q.jsonl", queries),
            corpus=write("c.jsonl", corpus),
            groups=write("g.jsonl", groups),
            candidates=write("bm25.trec", run) or "bm25",
            **settings,
        )
        sources = Sources(
            QuerySource(given.queries, fingerprint(given.queries)) if given.queries else None,
            CorpusSource(given.corpus, fingerprint(given.corpus)) if given.corpus else None,
        )
        rejected: list[Rejected] = []
        work = read_work(given, sources, rejected.append)
        rows = list(work.rows(rejected.append))
        found = Prepared(work, rows, rejected)
        store = sources.corpus.open() if sources.corpus else None
        for row in rows:
            ids = row["doc_ids"]
            found.docs[row["query_id"]] = store.ids(row["corpus_rows"]) if ids is None and store else ids
        return found

    return prepare
