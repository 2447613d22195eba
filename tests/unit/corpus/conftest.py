"""A cache of the test's own, and stores of rows that are written in the test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crossrank.corpus.store import SourceRow, TextStore, open_store
from crossrank.records import Reason, Reject

MakeStore = Callable[..., TextStore]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CROSSRANK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A store of ``(id, text)`` rows, in lines 1, 2, ... of ``corpus.tsv``."""

    def make_store(*rows: tuple[str, str]) -> TextStore:
        def read(_: Reject) -> Iterator[SourceRow]:
            for line, (identifier, text) in enumerate(rows, start=1):
                yield SourceRow("corpus.tsv", line, identifier, text)

        return open_store(tmp_path / "store", read, Reason.EMPTY_DOCUMENT)

    return make_store
