"""`TextStore`: rows of an id and a text in a memory-mapped Arrow file.

A corpus of any format is converted once a node; every process of the node then maps the same pages. Queries are
kept the same way. A row that was readable keeps its place whatever is wrong with it, so that a candidate that names
it can be rejected with the reason.

Shape letters: N rows of the store, R rows asked for.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crossrank.corpus.ids import IdIndex, hash_id
from crossrank.formats.set_aside import SetAside
from crossrank.records import Reason, Reject, Rejected
from crossrank.storage.node_cache import build_once

BATCH_ROWS = 1 << 14
"""Rows of one Arrow batch; row r lies in batch r >> 14."""
SOURCES = "sources.json"
"""URIs of the files that the rows came from."""
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("text", pa.large_string()),
        pa.field("source", pa.int32()),
        pa.field("line", pa.int64()),
        pa.field("title_length", pa.int32()),
    ]
)
OFTEN_READ = ("id", "text", "title_length")
"""Columns of which every batch is looked up once, when the store is opened."""


class SourceRow(NamedTuple):
    """A readable row, with its file and line."""

    source: str
    line: int
    identifier: str
    text: str
    title_length: int = 0
    """Characters of the text that stand before the document's own: its title and a space."""


class Usable(IntEnum):
    """Whether a row may be used, and why not."""

    YES = 0
    EMPTY = 1
    DUPLICATE = 2


Read = Callable[[Reject], Iterable[SourceRow]]
"""Reads the rows of a file, calling its argument for those that cannot be read."""


class TextStore:
    """Texts by row number and rows by id. Open or make one with `open_store`."""

    def __init__(self, folder: Path) -> None:
        # The map is kept open for as long as the store lives: batches point into it.
        self._file = pa.memory_map(str(folder / "rows.arrow"))
        reader = pa.ipc.open_file(self._file)
        self._batches: list[pa.RecordBatch] = [reader.get_batch(i) for i in range(reader.num_record_batches)]
        self._columns = {name: [batch.column(name) for batch in self._batches] for name in OFTEN_READ}
        self._usable_N: NDArray[np.uint8] = np.load(folder / "usable.npy", mmap_mode="r")
        self._index = IdIndex.open(folder)
        self._sources: list[str] = json.loads((folder / SOURCES).read_text())
        self._folder = folder

    @property
    def key(self) -> str:
        """Key of the content, for what is computed from it and kept."""
        return self._folder.name

    def __len__(self) -> int:
        return len(self._usable_N)

    def rows(self, identifiers: Sequence[str]) -> NDArray[np.int32]:
        """Rows of these ids, -1 where unknown. Shape (R,)."""
        return self._index.rows(identifiers)

    def usable(self, rows_R: NDArray[np.integer] | slice) -> NDArray[np.uint8]:
        """`Usable` of these rows. Shape (R,)."""
        return np.asarray(self._usable_N[rows_R])

    def texts(self, rows_R: Iterable[int]) -> list[str]:
        return self._column("text", rows_R)

    def texts_without_title(self, rows_R: Sequence[int]) -> list[str]:
        """The texts of these rows without the titles before them."""
        lengths = self._column("title_length", rows_R)
        return [text[length:] for text, length in zip(self.texts(rows_R), lengths, strict=True)]

    def ids(self, rows_R: Iterable[int]) -> list[str]:
        return self._column("id", rows_R)

    def all_texts(self) -> Iterator[str]:
        """Every text in row order, a batch in memory at a time."""
        for column in self._columns["text"]:
            yield from column.to_pylist()

    def place(self, row: int) -> tuple[str, int]:
        """The file and the line that a row came from."""
        batch, offset = self._batches[row // BATCH_ROWS], row % BATCH_ROWS
        return self._sources[batch.column("source")[offset].as_py()], batch.column("line")[offset].as_py()

    def rejected(self) -> Iterator[Rejected]:
        """The rows that could not be read, then those that cannot be used, in their order."""
        with open(self._folder / "rejected.jsonl", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                yield Rejected(**{**row, "reason": Reason(row["reason"])})

    def _column(self, name: str, rows_R: Iterable[int]) -> list[Any]:
        columns = self._columns[name]
        return [columns[row // BATCH_ROWS][row % BATCH_ROWS].as_py() for row in rows_R]


def open_store(folder: Path, read: Read, empty: Reason) -> TextStore:
    """Open the store in `folder`, converted now if it is not there; of several processes one converts, the rest wait.

    Args:
        read: reads the rows from their files.
        empty: the reason for a row without text.
    """
    build_once(folder, lambda new: _convert(new, read, empty))
    return TextStore(folder)


def refuse_empty(store: TextStore, uri: str, what: str) -> None:
    """Refuse a store without a row that can be used.

    Args:
        uri: URI of the store as the user named it.
        what: rows that it should hold, such as ``documents``.
    """
    if not (store.usable(slice(None)) == Usable.YES).any():
        set_aside = SetAside()
        for row in store.rejected():
            set_aside(row)
        raise set_aside.nothing_usable(uri, what)


def _convert(folder: Path, read: Read, empty: Reason) -> None:
    hashes = array("Q")
    usable = array("B")
    sources: dict[str, int] = {}
    with open(folder / "rejected.jsonl", "w", encoding="utf-8") as rejected_file:

        def reject(row: Rejected) -> None:
            print(json.dumps(asdict(row), ensure_ascii=False), file=rejected_file)

        with pa.OSFile(str(folder / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            columns: tuple[list[Any], ...] = tuple([] for _ in SCHEMA)
            for row in read(reject):
                hashes.append(hash_id(row.identifier))
                usable.append(Usable.YES if row.text.strip() else Usable.EMPTY)
                place = sources.setdefault(row.source, len(sources))
                values = (row.identifier, row.text, place, row.line, row.title_length)
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
                if len(columns[0]) == BATCH_ROWS:
                    writer.write_batch(pa.record_batch(list(columns), schema=SCHEMA))
                    columns = tuple([] for _ in SCHEMA)
            if columns[0]:
                writer.write_batch(pa.record_batch(list(columns), schema=SCHEMA))
        index, repeated = IdIndex.of_hashes(hashes)
        first_of = dict(repeated)
        usable_N = np.array(usable, dtype=np.uint8)
        usable_N[list(first_of)] = Usable.DUPLICATE  # an empty one too: its id must not come out twice
        index.save(folder)
        np.save(folder / "usable.npy", usable_N)
        (folder / SOURCES).write_text(json.dumps(list(sources)))
        _reject_unusable(TextStore(folder), first_of, empty, reject)


def _reject_unusable(store: TextStore, first_of: dict[int, int], empty: Reason, reject: Reject) -> None:
    unusable = np.flatnonzero(store.usable(slice(None)) != Usable.YES).tolist()
    for row, identifier in zip(unusable, store.ids(unusable), strict=True):
        reason, detail = empty, "the text is empty or white space"
        if row in first_of:
            first_source, first_line = store.place(first_of[row])
            reason = Reason.DUPLICATE_ID
            detail = f"the id stands in line {first_line} of {first_source} already; that one is kept"
        reject(Rejected(*store.place(row), identifier, reason, detail))
