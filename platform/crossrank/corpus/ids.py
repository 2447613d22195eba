"""An index from string ids to row numbers: 12 bytes an id, mapped from disk. A dictionary would take over 100.

Shape letters: N rows, L looked-up ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

UNKNOWN = -1
"""Row of an id that the index does not have."""


def hash_id(identifier: str) -> int:
    """64 bits of an id. Two of ten million ids share one with probability 3e-6."""
    return int.from_bytes(blake2b(identifier.encode(), digest_size=8).digest(), "little")


class IdIndex:
    """Finds the row of an id by a binary search over sorted hashes."""

    def __init__(self, hashes_N: NDArray[np.uint64], rows_N: NDArray[np.int32]) -> None:
        self._hashes_N = hashes_N
        self._rows_N = rows_N

    @classmethod
    def of_hashes(cls, hashes: array[int]) -> tuple[IdIndex, Iterator[tuple[int, int]]]:
        """The index of ids in row order, given as their hashes, and its duplicates as ``(row, first row)``.

        A duplicate is found under the first row that has its id.
        """
        hashes_N = np.frombuffer(hashes, dtype=np.uint64)
        order_N = np.argsort(hashes_N, kind="stable").astype(np.int32)  # stable: the first row of an id comes first
        sorted_N = hashes_N[order_N]
        is_first_N = np.ones(len(sorted_N), dtype=bool)
        is_first_N[1:] = sorted_N[1:] != sorted_N[:-1]
        again = np.flatnonzero(~is_first_N)
        first = order_N[np.searchsorted(sorted_N, sorted_N[again])]
        repeated = zip(order_N[again].tolist(), first.tolist(), strict=True)
        if len(again):
            sorted_N, order_N = sorted_N[is_first_N], order_N[is_first_N]
        return cls(sorted_N, order_N), repeated

    def save(self, folder: Path) -> None:
        np.save(folder / "id_hashes.npy", self._hashes_N)
        np.save(folder / "id_rows.npy", self._rows_N)

    @classmethod
    def open(cls, folder: Path) -> IdIndex:
        return cls(np.load(folder / "id_hashes.npy", mmap_mode="r"), np.load(folder / "id_rows.npy", mmap_mode="r"))

    def rows(self, identifiers: Sequence[str] | Iterable[str]) -> NDArray[np.int32]:
        """Rows of these ids, `UNKNOWN` for those that the index does not have. Shape (L,)."""
        wanted_L = np.fromiter(map(hash_id, identifiers), dtype=np.uint64)
        if len(self._hashes_N) == 0:
            return np.full(len(wanted_L), UNKNOWN, dtype=np.int32)
        places_L = np.searchsorted(self._hashes_N, wanted_L)
        places_L[places_L == len(self._hashes_N)] = 0
        return np.where(self._hashes_N[places_L] == wanted_L, self._rows_N[places_L], UNKNOWN).astype(np.int32)
