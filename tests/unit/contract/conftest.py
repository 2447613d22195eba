"""Each verb in turn, with a finished output of its own to a test and no Ray."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.contract.one_process import OneProcess, put_in_place
from tests.unit.contract.verbs import VERBS, Verb, put_models_in_place


@pytest.fixture(autouse=True)
def ray(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> OneProcess:
    """The stand-in where jobs look for Ray."""
    monkeypatch.setattr(os, "fsync", lambda file: None)  # nothing here outlives a power cut
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.getbasetemp() / "cache-of-contracts"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    stand_in = OneProcess()
    put_in_place(stand_in, monkeypatch)
    put_models_in_place(monkeypatch)
    return stand_in


@pytest.fixture(params=VERBS)
def verb(request: pytest.FixtureRequest) -> Verb:
    return VERBS[request.param]


@dataclass(frozen=True)
class Finished:
    """A job that was run to its end."""

    settings: Any
    manifest: dict[str, Any]


@pytest.fixture
def settings(verb: Verb, tmp_path: Path) -> Any:
    """Of a job on a small input; nothing is in its output yet."""
    return verb.sample(tmp_path)


@pytest.fixture
def finished(verb: Verb, settings: Any, ray: OneProcess, capsys: pytest.CaptureFixture[str]) -> Finished:
    """Run it to its end, and forget what was said and asked of Ray meanwhile."""
    manifest = verb.run(settings)
    ray.__init__()  # type: ignore[misc]
    capsys.readouterr()
    return Finished(settings, manifest)
