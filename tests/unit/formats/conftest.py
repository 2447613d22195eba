"""A folder of files written in the test, and the rows that a reader set aside."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from crossrank.records import Rejected

WriteFile = Callable[[str, str | bytes], str]


@pytest.fixture
def rejected() -> list[Rejected]:
    return []


@pytest.fixture
def write(tmp_path: Path) -> WriteFile:
    """Write a file of this name (``.gz`` is packed) and return its URI."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return str(path)

    return write
