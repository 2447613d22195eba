"""A stand-in where the job looks for Ray, and a cache of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import crossrank.cluster
import crossrank.mining
from crossrank.mining import job
from crossrank.provenance import Provenance


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(job, "provenance", lambda: Provenance("1.2", "here", None, "01ab"))


@pytest.fixture
def use_ray(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Put a stand-in where the job looks for Ray, and return it."""

    def use_ray(stand_in: Any) -> Any:
        monkeypatch.setattr(crossrank.mining, "on_ray", stand_in, raising=False)
        monkeypatch.setattr(crossrank.cluster, "on_ray", stand_in, raising=False)
        return stand_in

    return use_ray
