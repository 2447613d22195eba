"""The keys of a translation memory: a hash of the text and of all else that decides its translation."""

from __future__ import annotations

import json
import unicodedata
from hashlib import blake2b
from typing import Any

KEY_BYTES = 16
"""Bytes of a key. Of ten million texts two share 128 bits with probability 1e-25; one would get the other's words."""


def normalised(text: str) -> str:
    """The form of a text that is hashed and sent: NFC, Unix line ends, no white space around it.

    Case, inner white space and width stay: they change what a translator makes of it.
    """
    return unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").strip()


def identity_text(identity: dict[str, Any]) -> str:
    """A back-end's identity as one text, equal for equal identities."""
    return json.dumps(identity, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class TextKeys:
    """Makes the keys of one back-end with its languages and settings."""

    def __init__(self, identity: dict[str, Any]) -> None:
        self.identity = identity_text(identity)
        self._start = blake2b(self.identity.encode() + b"\0", digest_size=KEY_BYTES)

    def of(self, text: str) -> bytes:
        """The key of a text that is `normalised` already."""
        whole = self._start.copy()
        whole.update(text.encode())
        return whole.digest()
