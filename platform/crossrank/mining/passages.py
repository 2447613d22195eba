"""The corpus as a worker that mines reads it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from crossrank.corpus.ids import UNKNOWN
from crossrank.corpus.store import TextStore, Usable
from crossrank.mining.near_duplicates import Fingerprint
from crossrank.records import Candidate, document_text

KEPT_FINGERPRINTS = 2048
"""Passages whose shingles are remembered, 40 kB each: neighbouring groups find the same ones."""


class Passages:
    """Texts and fingerprints by row of the corpus."""

    def __init__(self, store: TextStore) -> None:
        self.store = store
        self._fingerprint = lru_cache(maxsize=KEPT_FINGERPRINTS)(lambda row: Fingerprint.of(self.text(row)))

    def text(self, row: int) -> str:
        return self.store.texts([row])[0]

    def text_without_title(self, row: int) -> str:
        return self.store.texts_without_title([row])[0]

    def fingerprint(self, row: int) -> Fingerprint:
        return self._fingerprint(row)

    def text_of(self, doc: Candidate, row: int) -> str:
        """The text that the model reads of a group's document; empty where neither it nor the corpus has a text."""
        if doc.text is not None:
            return document_text(doc.title, doc.text)
        return self.text(row) if row != UNKNOWN and self.store.usable(np.array([row]))[0] != Usable.EMPTY else ""
