"""The output folder of a job: its manifest, and who works on it.

Every job keeps `_manifest.json` in its output: a state (``running``, ``finished``), its kind, and its identity, which
is what has to be the same when it is resumed; see `resumable.earlier`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossrank import storage
from crossrank.errors import InputError, OutputError
from crossrank.storage.lease import LOCK, Lease, leased

Manifest = dict[str, Any]

MARKS = {"plan.json", "written.json", "COMPLETE"}
"""Names of files that mark a folder as whole. They are written last."""


def manifest_of(output: str) -> str:
    """The URI of the manifest of an output."""
    return storage.join(output, "_manifest.json")


@contextmanager
def alone(folder: str, flag: str = "--output") -> Iterator[Lease]:
    """Hold the right to write a folder alone: refuses one that another job writes, and keeps later jobs out.

    On a disk the lock of a job that was killed is gone with it. In an object store it is a claim, see `storage.lease`:
    a long job there has to `check` it before it writes its result.

    Args:
        flag: flag that names the folder, for the error.
    """
    if storage.is_s3(folder):
        with leased(folder, flag) as lease:
            yield lease
        return
    lock = FileLock(Path(storage.absolute(folder)) / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"another job is at work on {folder}; wait for its end, or name another {flag}") from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror or error}); name another {flag}") from error
    try:
        yield Lease()
    finally:
        lock.release()


def remove(uri: str) -> None:
    """Remove a file or a folder of a job in an order that may be cut off anywhere.

    What marks a folder as whole goes first, so that none looks whole that is not; the manifest of a job inside goes
    last, so that its other files are never taken for somebody else's.
    """
    files = [file.uri for file in storage.list_files(uri, recursive=True)]
    manifests = {file for file in files if file == manifest_of(file.rpartition("/")[0])}
    marks = [file for file in files if file.rpartition("/")[2] in MARKS]
    for file in [*marks, *(file for file in files if manifests and file not in manifests)]:
        storage.delete(file)
    storage.delete(uri)


def write_json(uri: str, content: dict[str, Any]) -> None:
    """Write a small JSON object, atomically."""
    storage.write_bytes(uri, json.dumps(content, ensure_ascii=False, indent=2, default=str).encode())


def read_json(uri: str) -> dict[str, Any]:
    """Read what `write_json` wrote. Refuses what is no JSON object."""
    try:
        content = json.loads(storage.read_bytes(uri))
    except ValueError as error:
        raise InputError(f"{uri} is damaged, and is no JSON; remove the folder it is in, or name another") from error
    if not isinstance(content, dict):
        raise InputError(f"{uri} holds no JSON object; remove the folder it is in, or name another")
    return content
