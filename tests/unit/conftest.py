"""What the unit tests promise: seconds, without ray and torch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HEAVY = {"ray", "torch", "transformers"}


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session of unit tests alone that loaded what they are to do without; other tests do load it."""
    loaded = HEAVY & sys.modules.keys()
    if loaded and session.items and all(item.path.is_relative_to(HERE) for item in session.items):
        print(f"\nunit tests loaded {', '.join(sorted(loaded))}, which take seconds; import them where they are used")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
