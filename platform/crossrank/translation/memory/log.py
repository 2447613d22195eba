"""The log of a memory: blocks of answers, each of them durable when `append` returns.

On a disk it is one file that is appended to and synced. An object store cannot append; there a block is an object.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from pathlib import Path
from typing import Protocol

from crossrank import storage
from crossrank.errors import OutputError
from crossrank.translation.memory.blocks import Whole, whole_blocks

FILE = "_log.blocks"
FOLDER = "_blocks"


class Log(Protocol):
    """A store to which blocks are appended."""

    def read(self) -> Whole:
        """Read all whole blocks, oldest first."""

    def repair(self, whole: Whole) -> None:
        """Leave nothing but the whole blocks, so that what is appended next can be read."""

    def append(self, block: bytes) -> None:
        """Keep a block; it is durable when this returns.

        Raises:
            OutputError: the block is not kept.
        """

    def clear(self) -> None:
        """Forget the blocks that were read or appended: they are in a part now."""

    def close(self) -> None:
        """Close the log; nothing more is appended."""


def log_of(folder: str) -> Log:
    """The log of the memory at this URI."""
    return ObjectLog(folder) if storage.is_s3(folder) else FileLog(folder)


class FileLog:
    """A log in one file of a local folder."""

    def __init__(self, folder: str) -> None:
        self._path = Path(storage.absolute(folder)) / FILE
        self._descriptor: int | None = None
        self._length = 0

    def read(self) -> Whole:
        if not self._path.exists():
            return Whole([], 0)
        return whole_blocks(storage.read_bytes(str(self._path)))

    def repair(self, whole: Whole) -> None:
        if whole.lost_bytes:
            storage.write_bytes(str(self._path), b"".join(whole.blocks))

    def append(self, block: bytes) -> None:
        try:
            if self._descriptor is None:
                self._descriptor = self._opened()
            descriptor, left = self._descriptor, memoryview(block)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fdatasync(descriptor)
        except OSError as error:
            self._take_back()
            raise OutputError(
                f"cannot write the translation memory {self._path.parent}: {error.strerror or error}; make room, and "
                f"run the same command again"
            ) from error
        self._length += len(block)

    def clear(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
        self._length = os.fstat(descriptor).st_size
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # without it a machine that dies may forget the name of the file
        finally:
            os.close(folder)
        return descriptor

    def _take_back(self) -> None:
        """Cut off half a block that a full disk left: blocks behind it would be found, but it would count as damage."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._length)


class ObjectLog:
    """A log of one object a block. Names sort by age and are unique, so that two writers lose nothing of each other."""

    def __init__(self, folder: str) -> None:
        self._folder = storage.join(folder, FOLDER)
        self._run = uuid.uuid4().hex[:8]
        self._last = 0
        self._known: list[str] = []

    def read(self) -> Whole:
        blocks: list[bytes] = []
        lost = 0
        self._known = [file.uri for file in storage.list_files(self._folder)]
        for uri in self._known:
            found, lost_here = whole_blocks(storage.read_bytes(uri))
            blocks += found
            lost += lost_here
        return Whole(blocks, lost)

    def repair(self, whole: Whole) -> None:
        """Leave a damaged object where it is: it was reported once, and goes when the rest is rolled up."""

    def append(self, block: bytes) -> None:
        self._last = max(self._last + 1, time.time_ns())
        uri = storage.join(self._folder, f"{self._last:020}-{self._run}.block")
        storage.write_bytes(uri, block)
        self._known.append(uri)

    def clear(self) -> None:
        for uri in self._known:
            storage.delete(uri)
        self._known = []

    def close(self) -> None:
        """Close nothing: no object is open."""
