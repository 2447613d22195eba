"""Hashes of content, by which a job knows that its inputs are the same, wherever they lie."""

from __future__ import annotations

import hashlib

from crossrank import storage
from crossrank.storage import files


def fingerprint(uri: str) -> str:
    """A hash of the content of a file, or of every file below a folder. Touching a file does not change it."""
    files = storage.list_files(uri, recursive=True)
    if not files:
        raise storage.absent(uri)
    return fingerprint_of(uri, [file.uri for file in files])


def fingerprint_of(uri: str, files: list[str]) -> str:
    """A hash of the content and the names, relative to `uri`, of these files."""
    total = hashlib.sha256()
    folder = storage.absolute(uri).rstrip("/")
    for file in files:
        total.update(file.removeprefix(folder).encode())
        total.update(_content_hash(file))
    return total.hexdigest()[:32]


def hash_bytes(content: bytes) -> str:
    """A hash of a few bytes, as a file name."""
    return hashlib.sha256(content).hexdigest()[:16]


def _content_hash(uri: str) -> bytes:
    content = hashlib.sha256()
    with storage.open_input(uri, decompress=False) as stream:
        while chunk := stream.read(files.HASH_CHUNK_BYTES):
            content.update(chunk)
    return content.digest()
