"""Token ids of a corpus, made once a node: a passage is tokenised once however many lists name it.

Shape letters: N rows of the store, T tokens of all of them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrank.corpus.store import TextStore
from crossrank.scoring.interfaces import PairEncoder, Tokens
from crossrank.storage.node_cache import build_once

CHUNK_ROWS = 4096


class TokenStore:
    """Token ids by row of a `TextStore`. Open or make one with `open_tokens`."""

    def __init__(self, folder: Path) -> None:
        self._offsets_N: NDArray[np.int64] = np.load(folder / "offsets.npy", mmap_mode="r")
        self._totals_N: NDArray[np.int32] = np.load(folder / "totals.npy", mmap_mode="r")
        self._ids_T = (
            np.memmap(folder / "ids.bin", dtype=np.int32, mode="r")
            if self._offsets_N[-1]
            else np.empty(0, dtype=np.int32)
        )

    def __getitem__(self, row: int) -> Tokens:
        # np.array: a copy in plain memory, so that a page that goes away later costs nothing on the hot path.
        ids = np.array(self._ids_T[self._offsets_N[row] : self._offsets_N[row + 1]])
        return Tokens(ids, int(self._totals_N[row]))


def open_tokens(folder: Path, store: TextStore, wanted_N: NDArray[np.bool_], encoder: PairEncoder) -> TokenStore:
    """Open the token ids of the wanted rows of `store`, made now if they are not in `folder`.

    Of several processes of a node one makes them, the rest wait. Rows not wanted have no tokens.
    """
    build_once(folder, lambda new: _tokenise(new, store, wanted_N, encoder))
    return TokenStore(folder)


def _tokenise(folder: Path, store: TextStore, wanted_N: NDArray[np.bool_], encoder: PairEncoder) -> None:
    lengths_N = np.zeros(len(store), dtype=np.int64)
    totals_N = np.zeros(len(store), dtype=np.int32)
    with open(folder / "ids.bin", "wb") as ids_file:
        for rows in _chunks(np.flatnonzero(wanted_N).tolist()):
            ids = array("i")
            for row, tokens in zip(rows, encoder.documents(store.texts(rows)), strict=True):
                assert isinstance(tokens, Tokens), "only encoders with a store_key have tokens to keep"
                ids.frombytes(tokens.ids.astype(np.int32).tobytes())
                lengths_N[row] = len(tokens.ids)
                totals_N[row] = tokens.total
            ids.tofile(ids_file)
    np.save(folder / "offsets.npy", np.concatenate([[0], np.cumsum(lengths_N)]))
    np.save(folder / "totals.npy", totals_N)


def _chunks(rows: Sequence[int]) -> Iterable[list[int]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK_ROWS)):
        yield chunk
