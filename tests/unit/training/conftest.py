"""A cache of the test's own, and settings and groups that are written in the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossrank.formats.group_files import fingerprint_of_groups
from crossrank.training.groups import GroupSource
from crossrank.training.settings import TrainSettings

Source = Callable[..., GroupSource]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def doc(doc_id: str, label: float | None, text: str | None = "", **more: Any) -> dict[str, Any]:
    """A document; without a text of its own it has ``text of <doc_id>``, with None it has none."""
    return {"doc_id": doc_id, "label": label, "text": f"text of {doc_id}" if text == "" else text, **more}


def group(query_id: str, *docs: dict[str, Any], query: str = "") -> str:
    """A line of groups; without a query of its own it has ``red <query_id>``."""
    return json.dumps({"query_id": query_id, "query": query or f"red {query_id}", "docs": docs}) + "\n"


def good(query_id: str) -> str:
    """A group that can be used, with a positive and a negative of its own."""
    return group(query_id, doc(f"{query_id}+", 1), doc(f"{query_id}-", 0))


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """What is taken of groups given as lines of ``g.jsonl``."""

    def source(content: str, use: Any = "train", **more: Any) -> GroupSource:
        file = tmp_path / "g.jsonl"
        file.write_text(content)
        return GroupSource(str(file), fingerprint_of_groups(str(file)), use, **more)

    return source


def train_settings(**values: Any) -> TrainSettings:
    """Settings with these values, and anything where a value has to be given."""
    return TrainSettings(**{"base": "base", "groups": "groups.jsonl", "output": "out", **values})
