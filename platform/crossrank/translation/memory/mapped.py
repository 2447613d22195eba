"""A part of a memory as a node looks things up in it: sorted by key in a memory-mapped Arrow file of its cache.

Shape letters: N rows of the part, L keys looked up.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossrank import storage
from crossrank.storage.content_hash import hash_bytes
from crossrank.storage.node_cache import build_once
from crossrank.translation.backend import Outcome
from crossrank.translation.keys import KEY_BYTES
from crossrank.translation.memory.parts import Part, read_part

LAYOUT = "1"
"""Version of the files. Change it when they change, so that an old cache is not read as a new one."""
SCHEMA = pa.schema(
    [("high", pa.uint64()), ("low", pa.uint64()), ("translation", pa.large_string()), ("error", pa.string())]
)


def halves(keys: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Keys, shape (L, 16), as two numbers each, in whose order they are sorted."""
    both = np.ascontiguousarray(keys).view(">u8").reshape(-1, 2).astype(np.uint64)
    return both[:, 0], both[:, 1]


def as_array(keys: list[bytes]) -> NDArray[np.uint8]:
    """Keys as one array, shape (L, 16)."""
    return np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(-1, KEY_BYTES)


class MappedPart:
    """A part in which keys are found by a binary search; only what is read takes memory."""

    def __init__(self, folder: Path) -> None:
        self._file = pa.memory_map(str(folder / "rows.arrow"))
        batch = pa.ipc.open_file(self._file).get_batch(0)
        self._high_N: NDArray[np.uint64] = batch.column("high").to_numpy()
        self._low_N: NDArray[np.uint64] = batch.column("low").to_numpy()
        self._translation, self._error = batch.column("translation"), batch.column("error")
        about = json.loads((folder / "about.json").read_text())
        self.identities: list[str] = about["identities"]
        self.lost_rows: int = about["lost_rows"]
        """Rows that could not be read."""

    @classmethod
    def of(cls, folder: str, part: Part) -> MappedPart:
        """The part, converted now if it is not in the cache."""
        key = hash_bytes(f"{LAYOUT}\n{storage.absolute(folder)}\n{part.name}\n{part.num_bytes}".encode())
        made = storage.cache_folder() / "memory" / key
        build_once(made, lambda new: _convert(folder, part, new))
        return cls(made)

    def __len__(self) -> int:
        return len(self._high_N)

    def rows(self, high_L: NDArray[np.uint64], low_L: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Rows of these keys, -1 for one that the part does not have. Shape (L,)."""
        rows_L = np.full(len(high_L), -1, dtype=np.int64)
        if not len(self):
            return rows_L
        places_L = np.searchsorted(self._high_N, high_L)
        places_L[places_L == len(self)] = 0
        same_L = self._high_N[places_L] == high_L
        found_L = same_L & (self._low_N[places_L] == low_L)
        rows_L[found_L] = places_L[found_L]
        # Two keys with one upper half: looked at one by one, as there is hardly ever one.
        for each in np.flatnonzero(same_L & ~found_L):
            row = int(places_L[each])
            while row < len(self) and self._high_N[row] == high_L[each]:
                if self._low_N[row] == low_L[each]:
                    rows_L[each] = row
                row += 1
        return rows_L

    def outcome(self, row: int) -> Outcome:
        """The outcome of the text in a row."""
        return Outcome(self._translation[row].as_py(), self._error[row].as_py())

    def is_failure(self, row: int) -> bool:
        """Whether the text in a row has no translation."""
        return not self._translation[row].is_valid


def _convert(folder: str, part: Part, new: Path) -> None:
    table, lost_rows = read_part(folder, part, ["key", "identity", "translation", "error"])
    keys = np.frombuffer(b"".join(table["key"].to_pylist()), dtype=np.uint8).reshape(-1, KEY_BYTES)
    high_N, low_N = halves(keys)
    order_N = np.lexsort((low_N, high_N))
    batch = pa.record_batch(
        [
            pa.array(high_N[order_N], pa.uint64()),
            pa.array(low_N[order_N], pa.uint64()),
            *(table[name].combine_chunks().take(pa.array(order_N)) for name in ("translation", "error")),
        ],
        schema=SCHEMA,
    )
    with pa.OSFile(str(new / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_batch(batch)
    identities = sorted(set(table["identity"].to_pylist()))
    (new / "about.json").write_text(json.dumps({"identities": identities, "lost_rows": lost_rows}))
