"""API keys: read from a file or the environment, kept as hashes, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from crossrank.errors import InputError, kind_of

VARIABLE = "CROSSRANK_API_KEYS"
"""Keys in the environment, separated by commas."""
LEAST_LENGTH = 16
"""Characters of a key at least."""


class ApiKeys:
    """The keys that a server knows. Without any, everybody is let in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def __repr__(self) -> str:
        return f"Keys({len(self._digests)})"

    def which(self, authorization: str | None) -> int | None:
        """The number of the key that an ``Authorization`` header holds, None where it holds none.

        ``Bearer KEY``, or the bare key that some clients send. Where there are no keys, everybody has number 0.
        """
        if not self._digests:
            return 0
        scheme, _, rest = (authorization or "").strip().partition(" ")
        digest = _digest(rest.strip() if scheme.lower() == "bearer" else (authorization or "").strip())
        # Compared with all of them, whichever fits, so that the time gives nothing away.
        fits = [hmac.compare_digest(digest, known) for known in self._digests]
        return fits.index(True) if any(fits) else None


def read_keys(file: str | None, environment: str | None) -> list[str]:
    """The keys of a file, one a line with ``#`` for comments, and of the variable `VARIABLE`.

    Raises:
        InputError: the file cannot be read or holds no key, or a key is too short to be one. No key is ever quoted.
    """
    keys = [key.strip() for key in (environment or "").split(",") if key.strip()]
    if file is not None:
        try:
            lines = [line.strip() for line in Path(file).read_text().splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--api-keys {file} cannot be read ({kind_of(error)}); name a file of keys") from error
        of_file = [line for line in lines if line and not line.startswith("#")]
        if not of_file:
            raise InputError(f"--api-keys {file} holds no key; write one a line")
        keys += of_file
    for number, key in enumerate(keys, start=1):
        if len(key) < LEAST_LENGTH:
            raise InputError(
                f"API key {number} has {len(key)} characters; use at least {LEAST_LENGTH} (openssl rand -hex 24)"
            )
    return keys


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
