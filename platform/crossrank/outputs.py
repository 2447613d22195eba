"""The output folder of a job: whose it is, who works on it, and whether what it holds may be gone on with.

Every job keeps `_manifest.json` in its output: a state (``running``, ``finished``), its kind, and its identity, which
is what has to be the same when it is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crossrank import storage
from crossrank.claim import LOCK, Hold, claimed
from crossrank.errors import InputError, OutputError

Manifest = dict[str, Any]
AFRESH = "use --overwrite to start afresh, or another --output"
"""The way out where an output holds something else."""


def manifest_of(output: str) -> str:
    """Where the manifest lies."""
    return storage.join(output, "_manifest.json")


def earlier_run(output: str, kind: str) -> Manifest | None:
    """The manifest of an earlier run in this output, None in an empty one.

    Args:
        kind: the verb, such as ``rerank``.

    Raises:
        OutputError: the folder holds what no job of this kind wrote.
    """
    if not storage.exists(manifest_of(output)):
        # A job that was killed while it started afresh may have left its lock.
        foreign = [file.uri for file in storage.list_files(output) if not file.uri.endswith(f"/{LOCK}")]
        if foreign:
            raise OutputError(
                f"{output} holds files that no {kind} job wrote, such as {foreign[0]}; name an empty folder"
            )
        return None
    manifest = read_json(manifest_of(output))
    # What says no kind is of `crossrank rerank`.
    if "identity" not in manifest or manifest.get("kind", "rerank") != kind:
        raise OutputError(f"{output} holds the result of another kind of job; name another --output")
    return manifest


@contextmanager
def working(output: str, before: Manifest | None) -> Iterator[Hold]:
    """Be the only job that writes an output, from its first manifest on.

    Args:
        before: the manifest that was found there.

    Raises:
        OutputError: another job is at work there, or was since the manifest was read.
    """
    with alone(output) as hold:
        if before != (read_json(manifest_of(output)) if storage.exists(manifest_of(output)) else None):
            raise OutputError(f"another job wrote {output} just now; run the same command again to see what is there")
        yield hold


@contextmanager
def alone(folder: str, flag: str = "--output") -> Iterator[Hold]:
    """Refuse a folder that another job writes, and whoever comes meanwhile.

    On a disk the lock of a job that was killed is gone with it. In an object store it is a claim, see `claim`: what
    works there for long has to `check` it before it writes its result.

    Args:
        flag: what names the folder.
    """
    if storage.is_s3(folder):
        with claimed(folder, flag) as hold:
            yield hold
        return
    lock = FileLock(Path(storage.absolute(folder)) / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise OutputError(f"another job is at work on {folder}; wait for its end, or name another {flag}") from error
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror or error}); name another {flag}") from error
    try:
        yield Hold()
    finally:
        lock.release()


def refuse_other_settings(output: str, before: dict[str, Any], identity: dict[str, Any], way_out: str = AFRESH) -> None:
    """Refuse to go on with a job of other settings or inputs, naming what differs."""
    differences = _differences(before, identity)
    if differences:
        raise OutputError(f"{output} holds a job with other settings ({'; '.join(differences)}); {way_out}")


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{key}.")
        elif old != new and (key in before or new is not False):  # a switch that was not there yet was off
            found.append(f"{prefix.removeprefix('settings.')}{key} was {old} and is {new}")
    return found


def write_json(uri: str, content: dict[str, Any]) -> None:
    """Write a small JSON object, atomically."""
    storage.write_bytes(uri, json.dumps(content, ensure_ascii=False, indent=2, default=str).encode())


def read_json(uri: str) -> dict[str, Any]:
    """Read what `write_json` wrote. Refuses what is no JSON object."""
    try:
        content = json.loads(storage.read_bytes(uri))
    except ValueError as error:
        raise InputError(f"{uri} is not JSON ({error}); remove the folder it is in, or name another") from error
    if not isinstance(content, dict):
        raise InputError(f"{uri} holds no JSON object; remove the folder it is in, or name another")
    return content
