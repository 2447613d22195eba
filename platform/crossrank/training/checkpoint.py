"""Checkpoints: model folders that also hold what a run needs to go on at the exact step.

    OUTPUT/_checkpoint/step-00000500/       config.json, model.safetensors, tokenizer, training.pt, history.json,
                                            complete.json
    OUTPUT/_checkpoint/validation-500.json  what was measured of it

`complete.json` names every file with its size, has an id of its own, and comes last: a checkpoint without it, or with
a file of another size, does not count. Rank 0 writes to this machine's disk while training waits; a thread then brings
the checkpoint to its place while training goes on.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from crossrank import storage
from crossrank.errors import InputError, OutputError, StorageError, in_short
from crossrank.storage.content_hash import hash_bytes
from crossrank.storage.node_cache import build_once
from crossrank.telemetry.progress import say

FOLDER = "_checkpoint"
COMPLETE = "complete.json"
PREFIX = "step-"
NEWEST_KEPT = 1
"""Newest checkpoints that are kept at least: a validation may still read the last."""


def _nothing() -> None:
    """Do nothing once a checkpoint is in its place."""


class Checkpoints:
    """The checkpoints of one output."""

    def __init__(self, output: str, num_kept: int) -> None:
        self.folder = storage.join(output, FOLDER)
        self._num_kept = max(num_kept, NEWEST_KEPT)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._sending: Future[None] | None = None

    def uri(self, step: int) -> str:
        """The model folder that is the checkpoint of a step."""
        return storage.join(self.folder, f"{PREFIX}{step:08}")

    def save(
        self, step: int, write: Callable[[Path], None], kept: Iterable[int] = (), then: Callable[[], None] = _nothing
    ) -> None:
        """Wait for the checkpoint before, write this one, and start the thread that brings it to its place.

        Args:
            write: function that fills the empty folder it is given.
            kept: steps whose checkpoints stay, whatever their age.
            then: function that the thread calls when the checkpoint is in its place.

        Raises:
            OutputError: this checkpoint cannot be written, or the one before could not be sent; older ones are intact.
        """
        self.wait()
        try:
            local = Path(tempfile.mkdtemp(prefix=f"crossrank-{PREFIX}", dir=self._local_folder()))
        except OSError as error:
            raise _full(self.uri(step), error) from error
        try:
            write(local)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch raises RuntimeError for a full disk
            shutil.rmtree(local, ignore_errors=True)
            raise _full(self.uri(step), error) from error
        self._sending = self._thread.submit(self._send, step, local, set(kept), then)

    def wait(self) -> None:
        """Wait until the last checkpoint is in its place; raise what its thread raised."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.result()

    def steps(self) -> list[int]:
        """Steps that have a whole checkpoint, oldest first."""
        steps = []
        for file in storage.list_files(self.folder, recursive=True):
            folder, _, name = file.uri.rpartition("/")
            step = folder.rpartition("/")[2].removeprefix(PREFIX)
            if name == COMPLETE and step.isdigit():
                steps.append(int(step))
        return sorted(steps)

    def fetch(self, step: int) -> Path:
        """The folder of a checkpoint on this machine's disk, downloaded where it lies on an object store.

        Raises:
            InputError: a file of the checkpoint is missing or has another size.
            StorageError: the object store cannot be reached.
        """
        uri = self.uri(step)
        complete = json.loads(storage.read_bytes(storage.join(uri, COMPLETE)))
        sizes = complete["files"]
        if not storage.is_s3(uri):
            folder = Path(storage.absolute(uri))
            _check_sizes(uri, folder, sizes)
            return folder
        # The id is in the key: another run's checkpoint of this step has the same place and mostly the same sizes.
        key = hash_bytes(json.dumps([uri, complete]).encode())
        folder = storage.cache_folder() / "checkpoints" / key
        build_once(folder, lambda new: _download(uri, sizes, new))
        return folder

    def newest_readable(self, read: Callable[[Path], Any]) -> tuple[int, Any] | None:
        """The newest checkpoint that `read` can read: its step, and what `read` returned.

        A checkpoint that it cannot read is named on standard error and passed over; None where none is left.

        Raises:
            StorageError, OutputError: the object store cannot be reached, or this machine cannot keep the download:
                the checkpoint may well be good.
        """
        steps = self.steps()
        for place in reversed(range(len(steps))):
            try:
                return steps[place], read(self.fetch(steps[place]))
            except (StorageError, OutputError):
                raise
            except Exception as error:  # a damaged file makes every library raise something of its own
                then = "going back to the one before" if place else "there is none before it, so training starts anew"
                say(f"the checkpoint {self.uri(steps[place])} cannot be read ({_one_line(error)}); {then}")
        return None

    def write_note(self, name: str, content: dict[str, Any]) -> None:
        """Keep a small result beside the checkpoints, as JSON."""
        storage.write_bytes(self._note(name), json.dumps(content, indent=1).encode())

    def read_note(self, name: str) -> dict[str, Any] | None:
        """The result that `write_note` kept; None where there is none."""
        if not storage.exists(self._note(name)):
            return None
        content: dict[str, Any] = json.loads(storage.read_bytes(self._note(name)))
        return content

    def _note(self, name: str) -> str:
        return storage.join(self.folder, f"{name}.json")

    def _local_folder(self) -> Path:
        """The folder written first: beside the final place, so that a move is enough, or in the cache for S3."""
        if storage.is_s3(self.folder):
            folder = storage.cache_folder() / "sending" / hash_bytes(self.folder.encode())
        else:
            folder = Path(storage.absolute(self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        for left_by_a_kill in folder.glob(f"crossrank-{PREFIX}*"):
            shutil.rmtree(left_by_a_kill, ignore_errors=True)
        return folder

    def _send(self, step: int, local: Path, kept: set[int], then: Callable[[], None]) -> None:
        uri = self.uri(step)
        try:
            sizes = {file.name: file.stat().st_size for file in sorted(local.iterdir())}
            complete = json.dumps({"id": uuid.uuid4().hex, "files": sizes})
            self._delete(step)  # what an earlier attempt left half written, or could not be read
            if storage.is_s3(uri):
                for name in sizes:
                    _upload(local / name, storage.join(uri, name))
                storage.write_bytes(storage.join(uri, COMPLETE), complete.encode())
            else:
                (local / COMPLETE).write_text(complete)
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
                self._delete(step)

    def _delete(self, step: int) -> None:
        # The marker first: a kill in the middle leaves no checkpoint that looks whole.
        storage.delete(storage.join(self.uri(step), COMPLETE))
        storage.delete(self.uri(step))


def _full(uri: str, error: Exception) -> OutputError:
    text = getattr(error, "strerror", None) or _one_line(error)
    return OutputError(
        f"the checkpoint {uri} cannot be written ({text}); earlier ones are intact: make room, and run the same "
        f"command again"
    )


def _one_line(error: Exception) -> str:
    return in_short(error)


def _check_sizes(uri: str, folder: Path, sizes: dict[str, int]) -> None:
    for name, num_bytes in sizes.items():
        found = (folder / name).stat().st_size if (folder / name).exists() else None
        if found != num_bytes:
            state = "is missing" if found is None else f"has {found:,} bytes"
            raise InputError(f"{uri}/{name} {state}, and was written with {num_bytes:,}")


def _upload(file: Path, uri: str) -> None:
    with open(file, "rb") as source, storage.writing(uri) as target:
        shutil.copyfileobj(source, target, 1 << 22)


def _download(uri: str, sizes: dict[str, int], folder: Path) -> None:
    for name in sizes:
        with (
            storage.open_input(storage.join(uri, name), decompress=False) as source,
            open(folder / name, "wb") as target,
        ):
            shutil.copyfileobj(source, target, 1 << 22)
    _check_sizes(uri, folder, sizes)
