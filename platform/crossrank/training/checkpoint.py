"""Checkpoints: model folders that also hold what a run needs to go on at the exact step.

    OUTPUT/_checkpoint/step-00000500/       config.json, model.safetensors, tokenizer, training.pt, history.json,
                                            complete.json
    OUTPUT/_checkpoint/validation-500.json  what was measured of it

`complete.json` names every file with its size and comes last: a checkpoint without it, or with a file of another size,
is none. Rank 0 writes to this machine's disk while training waits, and a thread brings it to its place meanwhile.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from crossrank import storage
from crossrank.errors import CrossrankError, InputError, OutputError, StorageError
from crossrank.once import made_once
from crossrank.progress import say

FOLDER = "_checkpoint"
COMPLETE = "complete.json"
PREFIX = "step-"
NEWEST_KEPT = 1
"""The newest is always kept: a validation may still read it."""


def _nothing() -> None:
    """What follows a checkpoint that nothing waits for."""


class Checkpoints:
    """The checkpoints of one output."""

    def __init__(self, output: str, num_kept: int) -> None:
        self.folder = storage.join(output, FOLDER)
        self._num_kept = max(num_kept, NEWEST_KEPT)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._sending: Future[None] | None = None

    def uri(self, step: int) -> str:
        """Folder of the checkpoint of a step, which is a model folder."""
        return storage.join(self.folder, f"{PREFIX}{step:08}")

    def save(
        self, step: int, write: Callable[[Path], None], kept: Iterable[int] = (), then: Callable[[], None] = _nothing
    ) -> None:
        """Write a checkpoint, then bring it to its place in a thread; waits for the one before.

        Args:
            write: fills the empty folder that it is given.
            kept: steps whose checkpoints stay, whatever their age.
            then: is called, in the thread, when the checkpoint is in its place.

        Raises:
            OutputError: this one cannot be written, or the one before could not be sent; older ones are intact.
        """
        self.wait()
        try:
            local = Path(tempfile.mkdtemp(prefix=f"crossrank-{PREFIX}", dir=self._local_folder()))
        except OSError as error:
            raise _full(self.uri(step), error) from error
        try:
            write(local)
        except (OSError, RuntimeError) as error:  # torch tells a full disk as a RuntimeError
            shutil.rmtree(local, ignore_errors=True)
            raise _full(self.uri(step), error) from error
        self._sending = self._thread.submit(self._send, step, local, set(kept), then)

    def wait(self) -> None:
        """Until the last checkpoint is in its place; raises what its thread raised."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def steps(self) -> list[int]:
        """Steps that have a whole checkpoint, oldest first."""
        found = []
        for file in storage.list_files(self.folder, recursive=True):
            folder, _, name = file.uri.rpartition("/")
            step = folder.rpartition("/")[2].removeprefix(PREFIX)
            if name == COMPLETE and step.isdigit():
                found.append(int(step))
        return sorted(found)

    def fetch(self, step: int) -> Path:
        """The checkpoint on this machine's disk.

        Raises:
            InputError: a file of it is missing or has another size.
        """
        uri = self.uri(step)
        sizes = json.loads(storage.read_bytes(storage.join(uri, COMPLETE)))
        if not storage.is_s3(uri):
            folder = Path(storage.absolute(uri))
        else:
            folder = storage.cache_folder() / "checkpoints" / storage.hash_bytes(json.dumps([uri, sizes]).encode())
            made_once(folder, lambda new: _download(uri, list(sizes), new))
        for name, num_bytes in sizes.items():
            found = (folder / name).stat().st_size if (folder / name).exists() else None
            if found != num_bytes:
                raise InputError(f"{uri}/{name} has {found} bytes, and was written with {num_bytes}")
        return folder

    def newest_readable(self, read: Callable[[Path], Any]) -> tuple[int, Any] | None:
        """The newest checkpoint that `read` can read, with what it gave; those it cannot are said and passed over."""
        for step in reversed(self.steps()):
            try:
                return step, read(self.fetch(step))
            except (CrossrankError, OSError, RuntimeError, ValueError, KeyError) as error:
                say(f"the checkpoint {self.uri(step)} cannot be read ({error}); going back to the one before")
        return None

    def write_note(self, name: str, content: dict[str, Any]) -> None:
        """Keep a small result beside the checkpoints."""
        storage.write_bytes(self._note(name), json.dumps(content, indent=1).encode())

    def read_note(self, name: str) -> dict[str, Any] | None:
        """What `write_note` kept; None when there is none."""
        if not storage.exists(self._note(name)):
            return None
        content: dict[str, Any] = json.loads(storage.read_bytes(self._note(name)))
        return content

    def _note(self, name: str) -> str:
        return storage.join(self.folder, f"{name}.json")

    def _local_folder(self) -> Path | None:
        """Where to write first: beside its place, so that a move is enough; anywhere for an object store."""
        if storage.is_s3(self.folder):
            return None
        folder = Path(storage.absolute(self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        for left_by_a_kill in folder.glob(f"crossrank-{PREFIX}*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        return folder

    def _send(self, step: int, local: Path, kept: set[int], then: Callable[[], None]) -> None:
        uri = self.uri(step)
        try:
            sizes = {file.name: file.stat().st_size for file in sorted(local.iterdir())}
            if storage.is_s3(uri):
                for name in sizes:
                    _upload(local / name, storage.join(uri, name))
                storage.write_bytes(storage.join(uri, COMPLETE), json.dumps(sizes).encode())
            else:
                (local / COMPLETE).write_text(json.dumps(sizes))
                storage.delete(uri)  # of an earlier try that was not whole
                local.rename(storage.absolute(uri))
        except OSError as error:
            raise _full(uri, error) from error
        finally:
            shutil.rmtree(local, ignore_errors=True)
        then()
        self._delete_old(kept)

    def _delete_old(self, kept: set[int]) -> None:
        for step in self.steps()[: -self._num_kept]:
            if step not in kept:
                # The marker first: a kill in the middle leaves no checkpoint that looks whole.
                storage.delete(storage.join(self.uri(step), COMPLETE))
                storage.delete(self.uri(step))


def _full(uri: str, error: Exception) -> OutputError:
    text = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return OutputError(
        f"the checkpoint {uri} cannot be written ({text}); earlier ones are intact: make room, and run the same "
        f"command again"
    )


def _upload(file: Path, uri: str) -> None:
    with open(file, "rb") as source, storage.writing(uri) as target:
        shutil.copyfileobj(source, target, 1 << 22)


def _download(uri: str, names: list[str], folder: Path) -> None:
    for name in names:
        try:
            with (
                storage.open_input(storage.join(uri, name), decompress=False) as source,
                open(folder / name, "wb") as target,
            ):
                shutil.copyfileobj(source, target, 1 << 22)
        except StorageError as error:
            raise InputError(str(error)) from error
