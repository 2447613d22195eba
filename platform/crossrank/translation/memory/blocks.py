"""Blocks of the log: answers and a checksum over them, so that a block is read whole or not at all."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from zlib import crc32

MAGIC = b"\x93CRT"
HEADER = struct.Struct("<4sII")
"""Magic, bytes of the payload, its CRC-32."""


class Entry(NamedTuple):
    """One text and its outcome."""

    key: bytes
    identity: str
    """Identity of the back-end, as `identity_text` writes it."""
    source: str
    translation: str | None
    error: str | None = None
    """Why there is no translation and never will be."""


def encode(entries: Sequence[Entry]) -> bytes:
    """The bytes of one block with these entries."""
    identities = list(dict.fromkeys(entry.identity for entry in entries))
    rows = [
        [entry.key.hex(), identities.index(entry.identity), entry.source, entry.translation, entry.error]
        for entry in entries
    ]
    payload = json.dumps({"identities": identities, "rows": rows}, ensure_ascii=False).encode()
    return HEADER.pack(MAGIC, len(payload), crc32(payload)) + payload


class Whole(NamedTuple):
    """The part of a log that could be read."""

    blocks: list[bytes]
    """The whole blocks as they lie there."""
    lost_bytes: int
    """Bytes that belong to no whole block."""


def whole_blocks(content: bytes) -> Whole:
    """The whole blocks of a log. Beyond a damaged one the next is looked for by its magic."""
    blocks: list[bytes] = []
    place = 0
    while (place := content.find(MAGIC, place)) >= 0:
        end = _end_of_block(content, place)
        if end is None:
            place += 1
            continue
        blocks.append(content[place:end])
        place = end
    return Whole(blocks, len(content) - sum(map(len, blocks)))


def _end_of_block(content: bytes, place: int) -> int | None:
    """The end of the block that begins at `place`; None when it is not whole."""
    start = place + HEADER.size
    if start > len(content):
        return None
    _, length, checksum = HEADER.unpack_from(content, place)
    end: int = start + length
    return end if end <= len(content) and crc32(content[start:end]) == checksum else None


def decode(block: bytes) -> Iterator[Entry]:
    """The entries of a whole block."""
    payload = json.loads(block[HEADER.size :])
    for key, identity, source, translation, error in payload["rows"]:
        yield Entry(bytes.fromhex(key), payload["identities"][identity], source, translation, error)
