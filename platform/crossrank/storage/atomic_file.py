"""A local file that is there whole or not at all, with failures that are distinct from those of other files."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


class NotWritten(Exception):
    """The file could not be written."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class NamedFile(io.FileIO):
    """A file whose name is in every failure to write it; those of Python name none."""

    def write(self, content: Any, /) -> int:
        with self._named():
            return super().write(content)

    def sync(self) -> None:
        """Wait until the disk has it, or a machine that dies may leave the name without the content."""
        with self._named():
            os.fsync(self.fileno())

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            error.filename = self.name
            raise


@contextmanager
def replacing(path: str, temporary: Path) -> Iterator[BinaryIO]:
    """Yield a stream that becomes the file at `path` when the block ends, and nothing if it raises.

    Args:
        temporary: path of the file meanwhile, in the same folder.

    Raises:
        NotWritten: the file cannot be written. Other errors in the block, such as those of reading, pass unchanged.
    """
    try:
        file = NamedFile(temporary, "wb")
        with io.BufferedWriter(file) as stream:
            yield stream
            stream.flush()
            file.sync()
        os.replace(temporary, path)
    except OSError as error:
        if str(error.filename) != str(temporary):
            raise
        raise NotWritten(error) from error
    finally:
        temporary.unlink(missing_ok=True)
