"""A job that is killed at its nth change of the storage, and what is seen of the changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from crossrank import storage
from crossrank.storage import files
from tests.unit.contract.one_process import Killed

At = Callable[[str], None]


@contextmanager
def each_change(before: At | None = None, after: At | None = None) -> Iterator[None]:
    """Call `before` and `after` with the URI of each file that is written or removed meanwhile.

    A folder is removed file by file, in the order of their names, as an object store does it.
    """
    writing, delete = storage.writing, storage.delete

    @contextmanager
    def seen_writing(uri: str) -> Iterator[BinaryIO]:
        if before is not None:
            before(uri)
        with writing(uri) as stream:
            yield stream
        if after is not None:
            after(uri)

    def seen_delete(uri: str) -> None:
        for file in storage.list_files(uri, recursive=True):
            if before is not None:
                before(file.uri)
            delete(file.uri)
            if after is not None:
                after(file.uri)
        delete(uri)

    with pytest.MonkeyPatch.context() as patch:
        for module in (storage, files):  # those who import storage, and its functions among each other
            patch.setattr(module, "writing", seen_writing)
            patch.setattr(module, "delete", seen_delete)
        yield


@contextmanager
def killed_at(change: int, below: str) -> Iterator[None]:
    """Kill before the nth change below a folder, from 0 on."""
    left = change

    def count(uri: str) -> None:
        nonlocal left
        if Path(uri).is_relative_to(below):
            if left == 0:
                raise Killed
            left -= 1

    with each_change(before=count):
        yield
