"""A stand-in where the job looks for Ray, and a cache of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossrank.provenance import Provenance
from crossrank.resumable import job


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(job, "provenance", lambda: Provenance("1.2", "here", None, "01ab"))
