"""Folders in the cache of a node, each made by one process and read by all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from crossrank.errors import OutputError, is_full, unwritten


def build_once(folder: Path, make: Callable[[Path], None]) -> None:
    """Make `folder` if it is not there; of several processes one makes it, and the rest wait.

    The folder is there whole or not at all: a kill leaves one of another name, which the next process removes.

    Args:
        make: function that fills the empty folder that it is given.

    Raises:
        OutputError: the cache cannot be written.
    """
    with _locked(folder):
        if folder.exists():
            return
        for left_by_a_kill in folder.parent.glob(f"{folder.name}.*.tmp"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
        temporary.mkdir()
        try:
            with filling(folder.parent):
                make(temporary)
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with writable_cache(folder.parent):
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """Write into a folder of the cache. A full disk there is one sentence; Python's own error would name no file.

    The block reads inputs, too, whose failures are no fault of the cache: they pass unchanged.
    """
    try:
        yield
    except OSError as error:
        is_named = error.filename is not None and str(error.filename).startswith(str(folder))
        if not is_named and (error.filename is not None or not (is_full(error) or error.errno == errno.EROFS)):
            raise
        raise OutputError(
            f"the cache {folder} cannot be written ({unwritten(error)}); make room there, or set "
            f"CROSSRANK_CACHE to a folder that has some"
        ) from error


@contextmanager
def writable_cache(folder: Path) -> Iterator[None]:
    """Make a folder of the cache for the first writes of the block; a failure of either is one sentence."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise OutputError(
            f"the cache {folder} cannot be written ({error.strerror or error}); "
            f"set CROSSRANK_CACHE to a folder that can"
        ) from error
