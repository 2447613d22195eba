"""Inputs as files, and a stand-in where the job looks for Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.provenance import Provenance
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable import job
from tests.unit.reranking.job.in_process import (
    CORPUS,
    QUERIES,
    RUN,
)


@pytest.fixture
def settings(tmp_path: Path) -> RerankSettings:
    for name, content in (("q.jsonl", QUERIES), ("c.jsonl", CORPUS), ("bm25.trec", RUN)):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_text(content)
    return RerankSettings(
        model="stand-in",
        queries=str(tmp_path / "in" / "q.jsonl"),
        corpus=str(tmp_path / "in" / "c.jsonl"),
        candidates=str(tmp_path / "in" / "bm25.trec"),
        output=str(tmp_path / "out"),
        run=str(tmp_path / "out.trec"),
    )


@pytest.fixture(autouse=True)
def _asks_git_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "provenance", lambda: Provenance("1.2", "here", None, "01ab"))
