"""What the unit tests promise: seconds, without ray and torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import crossrank.resumable
from tests.unit.in_process import UseRay

HERE = Path(__file__).parent
HEAVY = {"ray", "torch", "transformers"}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session of unit tests alone that loaded what they are to do without; other tests do load it."""
    loaded = HEAVY & sys.modules.keys()
    if loaded and session.items and all(item.path.is_relative_to(HERE) for item in session.items):
        print(f"\nunit tests loaded {', '.join(sorted(loaded))}, which take seconds; import them where they are used")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def use_ray(monkeypatch: pytest.MonkeyPatch) -> UseRay:
    """Put a stand-in where jobs look for Ray, and return it."""

    def use_ray(stand_in: Any) -> Any:
        monkeypatch.setattr(crossrank.resumable, "on_ray", stand_in, raising=False)
        return stand_in

    return use_ray
