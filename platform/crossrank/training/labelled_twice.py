"""Documents that are labelled both ways for one query: the positive label wins, whichever group, line or file has it.

Mined negatives hold copies of positives under other ids, and two collections put together judge one document twice. A
model that is taught both learns neither.

For this the groups are read once before the conversion. What is kept is 64 bits for each positive: 4 MB for half a
million groups, beside the 16 bytes for each document that the conversion holds anyway.

Shape letters: P positives of all groups.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossrank.corpus.ids import hash_id
from crossrank.retrieval.query_documents import folded


def key_of_text(text: str) -> int:
    """64 bits of a text, equal for texts that differ in nothing but case, white space or Unicode normalisation."""
    return hash_id(folded(text))


class Positives:
    """The texts that are labelled above 0, each for its query. Call `add` for all before `among`."""

    def __init__(self) -> None:
        self._added = array("Q")
        self._sorted_P: NDArray[np.uint64] | None = None

    def add(self, query: str, texts: Sequence[str]) -> None:
        """Add positives of a query."""
        self._added.extend(_keys(query, texts))

    def among(self, query: str, texts: Sequence[str]) -> list[bool]:
        """Whether each of these texts is a positive of the query in any group."""
        if self._sorted_P is None:
            self._sorted_P = np.unique(np.frombuffer(self._added, dtype=np.uint64))
        keys = np.array(_keys(query, texts), dtype=np.uint64)
        places = np.searchsorted(self._sorted_P, keys)
        inside = places < len(self._sorted_P)
        inside[inside] = self._sorted_P[places[inside]] == keys[inside]
        is_positive: list[bool] = inside.tolist()
        return is_positive


def _keys(query: str, texts: Sequence[str]) -> list[int]:
    of_query = key_of_text(query)
    return [hash_id(f"{of_query} {key_of_text(text)}") for text in texts]
