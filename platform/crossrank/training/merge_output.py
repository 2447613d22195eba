"""The output folder of a merge: what it holds already, and how a new model takes its place, whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from crossrank import storage
from crossrank.errors import OutputError
from crossrank.resumable.differences import AFRESH
from crossrank.resumable.manifest_shape import MayLack, damage, is_text, list_of
from crossrank.resumable.output import alone, write_json
from crossrank.storage.lease import LOCK, Lease

MANIFEST = "_manifest.json"
CONFIG = "config.json"


def earlier_merge(output: str, overwrite: bool) -> dict[str, Any] | None:
    """The manifest of an earlier merge; None in an empty output. Refuses an output that holds other files."""
    if storage.exists(output) and not storage.is_folder(output):
        raise OutputError(f"--output {output} is a file; name a folder")
    held = _files(output)
    if not held:
        return None
    manifest = storage.join(output, MANIFEST)
    found: Any
    try:
        found = json.loads(storage.read_bytes(manifest)) if storage.exists(manifest) else None
    except ValueError:
        found = None
    identity = found.get("identity") if isinstance(found, dict) else None
    if isinstance(identity, dict) and {*identity} == {"base", "tuned", "alpha"}:
        broken = damage(found, {"files": MayLack(list_of(is_text))})
        if broken is not None and not overwrite:
            raise OutputError(f"{manifest} is damaged ({broken}); {AFRESH}")
        return cast(dict[str, Any], found)
    if not overwrite:
        raise in_the_way(output, f"files, such as {held[0].uri}")
    if not storage.exists(storage.join(output, CONFIG)):
        raise OutputError(
            f"--output {output} holds no model but {held[0].uri}, and --overwrite throws away models alone; "
            f"name another folder"
        )
    return None


def _files(output: str) -> list[storage.StoredFile]:
    """The files of an output, without the lease of the job that writes it."""
    lease = storage.join(output, LOCK)
    return [file for file in storage.list_files(output, recursive=True) if file.uri != lease]


def in_the_way(output: str, what: str) -> OutputError:
    """The error about an output whose files are kept."""
    return OutputError(f"--output {output} holds {what}; name another folder, or add --overwrite")


@contextmanager
def new_folder(
    output: str, overwrite: bool, before: dict[str, Any] | None, manifest: dict[str, Any]
) -> Iterator[tuple[str, Lease]]:
    """A folder to write in, which becomes the output when the block ends. One merge at a time.

    A local folder is there whole or not at all. An object store cannot rename: there the old model goes first, and the
    manifest says that the new one is not finished.

    Args:
        before: manifest that `earlier_merge` found there.
        manifest: manifest of the new merge.
    """
    if storage.is_s3(output):
        with alone(output) as lease:
            _refuse_changed(output, overwrite, before)
            unfinished = storage.join(output, MANIFEST)
            write_json(unfinished, manifest | {"state": "running"})
            for file in _files(output):
                if file.uri != unfinished:
                    storage.delete(file.uri)
            yield output, lease
        return
    final = Path(storage.resolved(output))
    new, old = (final.with_name(f"_{final.name}.{uuid.uuid4().hex[:8]}.tmp") for _ in range(2))
    lock = None
    try:
        with _writing(output):
            _clear_what_kills_left(final, output)
            new.mkdir(parents=True)
            lock = _locked(new)
        _refuse_changed(output, overwrite, before)
        yield str(new), Lease()
        with _writing(output):
            _put_in_place(new, final, old)
    finally:
        for folder in (new, old):
            shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


@contextmanager
def _writing(output: str) -> Iterator[None]:
    """Turn a failure of the disk into one sentence about the output."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}") from error


def _put_in_place(new: Path, final: Path, old: Path) -> None:
    if final.exists():
        final.rename(old)
    try:
        new.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise


def _refuse_changed(output: str, overwrite: bool, before: dict[str, Any] | None) -> None:
    if earlier_merge(output, overwrite) != before:
        raise OutputError(f"another job wrote {output} just now; run the same command again to see what is there")


def _clear_what_kills_left(final: Path, output: str) -> None:
    """Remove what killed merges left beside the output. Refuses while another merge locks its folder."""
    for left in final.parent.glob(f"_{final.name}.*.tmp"):
        try:
            os.close(_locked(left))
        except FileNotFoundError:
            continue
        except BlockingIOError as error:
            raise OutputError(
                f"another job is at work on {output}; wait for its end, or name another --output"
            ) from error
        shutil.rmtree(left, ignore_errors=True)


def _locked(folder: Path) -> int:
    """A descriptor that locks a folder until it is closed, or its process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
