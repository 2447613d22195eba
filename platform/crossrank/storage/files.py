"""Files at any URI: a local path or ``s3://bucket/key``.

Everything goes through `pyarrow.fs`, which finds S3 credentials by the default AWS chain and honours
``AWS_ENDPOINT_URL``. Writes are atomic: a reader sees the whole file or none, also after a kill.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from pyarrow import ArrowException
from pyarrow import fs as arrow_fs

from crossrank.errors import USER_OF_URL, InputError, OutputError, StorageError
from crossrank.storage.atomic_file import NotWritten, replacing
from crossrank.storage.failures import Passing, bucket, no_bucket, storage_error

Result = TypeVar("Result")

HASH_CHUNK_BYTES = 1 << 20
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
SUBMITTED = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Environment variable that Ray's job server gives to a job; the name is Ray's own."""
KEYS = re.compile(r"s3://[^/\s]*[:@]")
"""Keys before the first slash of a URI. A bucket's name has neither sign; Arrow would take them for keys."""
LEFTOVER = re.compile(r"_.+\.[0-9a-f]{8}\.tmp")
"""Name of a local file that is being written; a kill leaves it behind."""
S3_CONNECT_TIMEOUT_S = 5
S3_SILENCE_S = 15
"""Seconds of silence after which a request is given up and tried again; Arrow would wait a minute each time."""
S3_TRIES = 5
"""Attempts at a request, with pauses that double. Where one in 20 fails, three would fail once in 8,000 requests."""
PAUSES_S = (0.5, 2.0, 5.0)
"""Seconds before a small file is read again, after each error."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a listing."""

    uri: str
    num_bytes: int
    modified: float = field(default=0.0, compare=False)
    """Time of the last write, in seconds since 1970."""


def is_s3(uri: str) -> bool:
    """Whether the URI names an object store rather than this machine's file system."""
    return uri.startswith("s3://")


def refuse_keys(text: str) -> None:
    """Refuse a text with an ``s3://KEY:SECRET@bucket`` in it, and do not repeat it."""
    if KEYS.search(text):
        raise StorageError(
            "an s3:// URI has a key in it, which logs, manifests and process lists would show; write s3://bucket/key, "
            "and give keys as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or by a role"
        )


def join(uri: str, *names: str) -> str:
    """`uri` with more path elements, whatever it starts with."""
    _refuse_no_path(uri)
    return "/".join([uri.rstrip("/"), *names])


def absolute(uri: str) -> str:
    """A URI that means the same in every process of this machine. Refuses a relative path in a submitted job."""
    _refuse_no_path(uri)
    if SCHEME.match(uri):
        return uri
    path = os.path.expanduser(uri)
    if not os.path.exists(path):
        _refuse_relative(uri)
    return os.path.abspath(path)


def _refuse_no_path(uri: str) -> None:
    """An empty name would be the working directory, with all that is in it."""
    if not uri:
        raise StorageError("a path is empty, where a file or a folder is wanted; name one")
    if "\0" in uri:
        raise StorageError(f"{uri!r} has a NUL character, which no path can have; name another")


def _refuse_relative(uri: str) -> None:
    """Refuse a relative path in a submitted job: it lies in the folder that Ray made for the job, and goes with it."""
    if is_submitted() and not SCHEME.match(uri) and not os.path.isabs(os.path.expanduser(uri)):
        raise StorageError(
            f"{uri} is a relative path, and a submitted job runs on the cluster, in a folder of Ray's; name s3://, or "
            f"a full path on a disk that all nodes mount"
        )


def is_submitted() -> bool:
    """Whether this process is the driver of a job that Ray's job server started."""
    return SUBMITTED in os.environ


def absent(uri: str) -> InputError:
    """The sentence about a file that is not there."""
    if is_submitted() and not is_s3(uri):
        return InputError(
            f"{uri} does not exist on the cluster, where a submitted job runs and data is not shipped; name s3://, or "
            f"a disk that all nodes mount"
        )
    return InputError(f"{uri} does not exist; check the path")


def filesystem(uri: str) -> tuple[arrow_fs.FileSystem, str]:
    """The pyarrow file system of a URI and the path in it. Refuses schemes other than ``s3://``."""
    refuse_keys(uri)
    scheme = SCHEME.match(uri)
    if scheme and scheme.group(1) != "s3":
        shown = USER_OF_URL.sub("//", uri)
        raise StorageError(f"{shown} has the scheme {scheme.group(1)}://; use a local path or s3://bucket/key")
    if not is_s3(uri):
        return arrow_fs.LocalFileSystem(), absolute(uri)
    key = uri.removeprefix("s3://")
    if not key.strip("/"):
        raise StorageError(f"{uri} names no bucket; write s3://bucket/key")
    return _s3(os.environ.get("AWS_ENDPOINT_URL"), os.environ.get("AWS_DEFAULT_REGION")), key


@lru_cache(maxsize=4)
def _s3(endpoint: str | None, region: str | None) -> arrow_fs.S3FileSystem:
    # The environment is part of the key, so that a process that sets it later gets a client of its own.
    return arrow_fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=S3_CONNECT_TIMEOUT_S,
        request_timeout=S3_SILENCE_S,
        # Not the standard one: after a hundred retries in the life of a process it makes no more.
        retry_strategy=arrow_fs.AwsDefaultS3RetryStrategy(max_attempts=S3_TRIES),
        allow_delayed_open=True,  # a small file is one request, and a kill leaves no upload half done
    )


@contextmanager
def _translated(uri: str, action: str, error_class: type[InputError] | type[OutputError]) -> Iterator[None]:
    """Turn what pyarrow and the operating system raise into one sentence about `uri`."""
    try:
        yield
    except FileNotFoundError as error:
        _refuse_missing_bucket(uri)
        raise error_class(str(absent(uri))) from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise error_class(f"cannot {action} {uri}: {error.strerror or error}") from error
    except (OSError, ArrowException) as error:
        raise storage_error(uri, action, error, error_class) from error


def _refuse_missing_bucket(uri: str) -> None:
    """Refuse a bucket that does not exist, of which Arrow says what it says of any missing key."""
    if is_s3(uri):
        with _translated(uri, "look at", InputError):
            found = filesystem(uri)[0].get_file_info(bucket(uri))
        if found.type == arrow_fs.FileType.NotFound:
            raise no_bucket(uri)


def cache_folder() -> Path:
    """The folder of fetched models and converted corpora: ``CROSSRANK_CACHE`` or ``~/.cache/crossrank``."""
    return Path(os.environ.get("CROSSRANK_CACHE") or Path.home() / ".cache" / "crossrank")


def exists(uri: str) -> bool:
    """Whether a file or folder is there."""
    return _info(uri).type != arrow_fs.FileType.NotFound


def is_folder(uri: str) -> bool:
    """Whether the URI is a folder (on S3: whether keys begin with it)."""
    return _info(uri).type == arrow_fs.FileType.Directory


def _info(uri: str) -> arrow_fs.FileInfo:
    filesystem_, path = filesystem(uri)
    with _named(uri), _translated(uri, "look at", InputError):
        found = filesystem_.get_file_info(path.rstrip("/") or "/")
    if found.type == arrow_fs.FileType.NotFound:
        _refuse_missing_bucket(uri)
    return found


@contextmanager
def _named(uri: str) -> Iterator[None]:
    """Refuse names that Arrow cannot read: it takes all for UTF-8, which those of a disk need not be."""
    try:
        yield
    except UnicodeError as error:
        raise InputError(
            f"{uri} is, or holds, a name that is no UTF-8; rename it, or set PYTHONUTF8=1 if only the locale is another"
        ) from error


def list_files(uri: str, *, suffix: str = "", recursive: bool = False) -> list[StoredFile]:
    """The files below a folder, sorted by URI; for a file, itself; an empty list where nothing is.

    A file that a kill left half written is not listed.
    """
    found = _info(uri)
    if found.type == arrow_fs.FileType.File:
        return [StoredFile(absolute(uri), found.size, _modified(found))]
    if found.type == arrow_fs.FileType.NotFound:
        return []
    filesystem_, path = filesystem(uri)
    # A folder of an object store is gone with its last key, which may be between these two lines.
    below = arrow_fs.FileSelector(path.rstrip("/") or "/", recursive=recursive, allow_not_found=True)
    scheme = "s3://" if is_s3(uri) else ""
    with _named(uri), _translated(uri, "list", InputError):
        files = [
            StoredFile(scheme + info.path, info.size, _modified(info))
            for info in filesystem_.get_file_info(below)
            if info.type == arrow_fs.FileType.File
            and info.path.endswith(suffix)
            and not LEFTOVER.fullmatch(info.path.rsplit("/", 1)[-1])
        ]
    return sorted(files, key=lambda file: file.uri)


def _modified(info: arrow_fs.FileInfo) -> float:
    return (info.mtime_ns or 0) / 1e9


@contextmanager
def open_input(uri: str, *, decompress: bool = True) -> Iterator[BinaryIO]:
    """Yield a binary stream of a file; ``.gz`` and its like are unpacked unless `decompress` is false."""
    filesystem_, path = filesystem(uri)
    with _translated(uri, "read", InputError):
        _refuse_no_file(uri)
        with filesystem_.open_input_stream(path, compression="detect" if decompress else None) as stream:
            yield cast(BinaryIO, stream)


@contextmanager
def open_seekable(uri: str) -> Iterator[BinaryIO]:
    """Yield a file that can be read from any position, as Parquet must be."""
    filesystem_, path = filesystem(uri)
    with _translated(uri, "read", InputError):
        if not is_s3(uri):
            _refuse_no_file(uri)
        with filesystem_.open_input_file(path) as file:
            yield cast(BinaryIO, file)


def _refuse_no_file(uri: str) -> None:
    kind = _info(uri).type
    if kind == arrow_fs.FileType.Directory:
        raise InputError(f"{uri} is a folder, and a file is wanted; name the file")
    if kind == arrow_fs.FileType.Unknown:  # to open a pipe is to wait for whoever writes to it, perhaps for ever
        raise InputError(
            f"{uri} is a pipe or a device, and a file is wanted, which can be read twice; write what it gives to a file"
        )


def read_from(uri: str, read: Callable[[BinaryIO], Result]) -> Result:
    """Return `read` of a file that can be read from any position; it is called again after a passing error."""

    def once() -> Result:
        with open_seekable(uri) as file:
            return read(file)

    return _again(once)


def read_bytes(uri: str) -> bytes:
    """Read a whole small file."""

    def once() -> bytes:
        with open_input(uri, decompress=False) as stream:
            return stream.read()

    return _again(once)


def _again(act: Callable[[], Result]) -> Result:
    # Arrow retries by itself, but not where the error that it got is longer than what it wanted of the file.
    for pause_s in PAUSES_S:
        try:
            return act()
        except Passing:
            time.sleep(pause_s)
    return act()


@contextmanager
def writing(uri: str) -> Iterator[BinaryIO]:
    """Yield a binary stream that becomes the file at `uri` when the block ends, and nothing if it raises.

    Other errors in the block, such as those of a file that it reads or of a disk with a cache, pass unchanged.
    """
    _refuse_relative(uri)
    filesystem_, path = filesystem(uri)
    if is_s3(uri):
        # An Arrow S3 stream commits whatever it holds when it is closed, so the content is completed on a disk first.
        with tempfile.TemporaryFile() as buffer:
            yield cast(BinaryIO, buffer)
            buffer.seek(0)
            with _translated(uri, "write", OutputError), filesystem_.open_output_stream(path) as stream:
                shutil.copyfileobj(buffer, stream, HASH_CHUNK_BYTES)
        return
    path = _target(uri, path)
    # A leading underscore keeps what a kill leaves behind out of every Parquet reader.
    temporary = Path(path).parent / f"_{Path(path).name}.{uuid.uuid4().hex[:8]}.tmp"
    with _translated(uri, "write", OutputError):
        temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path, temporary) as stream:
            yield stream
    except NotWritten as failed:
        raise storage_error(uri, "write", failed.reason, OutputError) from failed.reason


def _target(uri: str, path: str) -> str:
    """The local file to write: the one behind a link, so that the link stays."""
    path = os.path.realpath(path)
    if os.path.isdir(path):
        raise OutputError(f"cannot write {uri}: it is a folder, and a file is wanted; name a file in it")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"{uri} is a device or a pipe, which would be replaced by a file; name a file")
    return path


def write_bytes(uri: str, content: bytes) -> None:
    """Write a whole small file, atomically."""
    with writing(uri) as stream:
        stream.write(content)


def copy(source: str, target: str) -> None:
    """Copy one file, whole or not at all."""
    with open_input(source, decompress=False) as reading, writing(target) as stream:
        shutil.copyfileobj(reading, stream, HASH_CHUNK_BYTES)


def refuse_overwriting(flag: str, output: str | None, **inputs: str | None) -> None:
    """Refuse an output that is one of the inputs, also by way of a link.

    Args:
        inputs: flags, or arguments in capitals, and what they name; None for one that was not given.
    """
    for name, uri in inputs.items():
        if output is not None and uri is not None and resolved(output) == resolved(uri):
            given = name if name.isupper() else f"--{name}"
            raise OutputError(f"{flag} {output} would overwrite {given} {uri}; name another file")


def resolved(uri: str) -> str:
    """A URI by which two names of one file are equal. It need not be there, and may be the name of a hub."""
    _refuse_no_path(uri)
    return uri.rstrip("/") if is_s3(uri) else os.path.realpath(os.path.expanduser(uri))


def check_writable(uri: str) -> None:
    """Refuse, hours before it is written, a file that cannot be: a missing bucket, a folder without permission."""
    if not is_s3(uri):
        _target(uri, absolute(uri))
    probe = f"{uri}.{uuid.uuid4().hex[:8]}.probe"
    try:
        write_bytes(probe, b"")
        delete(probe)
    except (StorageError, OutputError) as error:
        raise type(error)(str(error).replace(probe, uri)) from error


def delete(uri: str) -> None:
    """Remove a file, or a folder with everything in it; nothing there is fine."""
    filesystem_, path = filesystem(uri)
    with _translated(uri, "delete", OutputError):
        kind = filesystem_.get_file_info(path.rstrip("/")).type
        if kind == arrow_fs.FileType.Directory:
            filesystem_.delete_dir(path.rstrip("/"))
        elif kind == arrow_fs.FileType.File:
            filesystem_.delete_file(path)


def delete_leftovers(folder: str) -> None:
    """Remove what kills left half written in a folder. An object store shows nothing that is not whole."""
    if not is_s3(folder):
        with _translated(folder, "delete", OutputError):
            for path in Path(absolute(folder)).rglob("_*.tmp"):
                if LEFTOVER.fullmatch(path.name):
                    path.unlink(missing_ok=True)
