"""The whole of mining with a stand-in for Ray and for the models: inputs by hand, and what comes out of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crossrank.formats.group_rows import group_of
from crossrank.mining.settings import MineSettings
from crossrank.records import Group

WIDTH = 64


class WordEncoder:
    """Stands in for a model: a text is the count of its words, each in one of 64 places, made one long.

    Args:
        log: a file to which a line is added for every call that encodes passages.
        pause_s: seconds that such a call takes at least.
    """

    def __init__(self, log: str | None = None, pause_s: float = 0.0) -> None:
        self._log = log
        self._pause_s = pause_s

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors(texts)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._log is not None:
            with open(self._log, "a", buffering=1) as log:
                log.write(f"{len(texts)}\n")
        time.sleep(self._pause_s)
        return self._vectors(texts)

    @staticmethod
    def _vectors(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, crc32(word.encode()) % WIDTH] += 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, slots=True)
class WordSpec:
    """A `WordEncoder` to be loaded; for what the fields mean, see there."""

    revision: str = "words"
    log: str | None = None
    pause_s: float = 0.0

    @property
    def passages_key(self) -> str:
        return f"key-{self.revision}"

    @property
    def dimensions(self) -> int:
        return WIDTH

    @property
    def process_bytes(self) -> int:
        return 0

    def on(self, device: str | None) -> WordSpec:
        return self

    def load(self, threads: int | None) -> WordEncoder:
        return WordEncoder(self.log, self.pause_s)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return str(path)


def corpus_file(path: Path, texts: dict[str, str]) -> str:
    return write_lines(path, [{"_id": identifier, "text": text} for identifier, text in texts.items()])


def group(query_id: str, query: str, *docs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"query_id": query_id, "query": query, "docs": list(docs), **more}


def positive(doc_id: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    return {"doc_id": doc_id, "text": text, "label": 1.0, **more}


def mined_groups(settings: MineSettings) -> list[Group]:
    """As the files have them: readers of groups put the documents in the order of their ranks."""
    return [group_of(row) for row in pq.read_table(settings.output).to_pylist()]


def negatives_of(settings: MineSettings) -> dict[str, list[str]]:
    """Ids of the documents that mining added, by query."""
    return {
        group.query_id: [doc.doc_id for doc in group.docs if "mined" in doc.meta] for group in mined_groups(settings)
    }


def dropped(settings: MineSettings) -> dict[str, dict[str, str]]:
    """Reason by document by query."""
    reasons: dict[str, dict[str, str]] = {}
    for path in sorted(Path(settings.output).glob("_dropped/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            reasons.setdefault(row["query_id"], {})[row["doc_id"]] = row["reason"]
    return reasons


def rejected(settings: MineSettings) -> list[tuple[str | None, str]]:
    rows = pq.read_table(Path(settings.output) / "_rejected" / "rejected.parquet").to_pylist()
    return [(row["record_id"], row["reason"]) for row in rows]


def parts(settings: MineSettings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(Path(settings.output).glob("part-*"))}
