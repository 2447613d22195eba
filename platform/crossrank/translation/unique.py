"""The distinct texts to translate, each once, in memory that does not grow with their number.

Texts are dealt by their key to shards: equal ones meet in one shard, which is small enough to be looked at whole.
Only where all of them fill more than a buffer do shards go through the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from crossrank.storage.node_cache import filling
from crossrank.translation.lookup import Unit

SHARDS = 256
BUFFER_CHARACTERS = 64 << 20
SCHEMA = pa.schema([("key", pa.binary()), ("text", pa.large_string())])


class UniqueTexts:
    """Collects texts, and gives each once."""

    def __init__(self, folder: Path, buffer_characters: int = BUFFER_CHARACTERS) -> None:
        """Collect texts in this folder, which exists and is empty."""
        self._folder = folder
        self._buffer_characters = buffer_characters
        self._shards: list[dict[bytes, str]] = [{} for _ in range(SHARDS)]
        self._held = 0

    def add(self, unit: Unit) -> None:
        """Collect a text, once more or for the first time."""
        shard = self._shards[unit.key[0]]
        if unit.key not in shard:
            shard[unit.key] = unit.text
            self._held += len(unit.text)
            if self._held >= self._buffer_characters:
                self._spill()

    def __iter__(self) -> Iterator[Unit]:
        """Yield every text once, in the order of the shards and, within one, as they first came."""
        for number, shard in enumerate(self._shards):
            whole: dict[bytes, str] = {}
            for file in sorted(self._folder.glob(f"{number:03}-*.arrow")):
                with pa.memory_map(str(file)) as stream:
                    for batch in pa.ipc.open_stream(stream):
                        keys, texts = (column.to_pylist() for column in batch.columns)
                        for key, text in zip(keys, texts, strict=True):
                            whole.setdefault(key, text)
            for key, text in shard.items():
                whole.setdefault(key, text)
            yield from (Unit(text, key) for key, text in whole.items())

    def _spill(self) -> None:
        with filling(self._folder):
            self._write_shards()

    def _write_shards(self) -> None:
        round_ = len(list(self._folder.glob("*.round")))
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        for number, shard in enumerate(self._shards):
            if not shard:
                continue
            batch = pa.record_batch([list(shard), list(shard.values())], schema=SCHEMA)
            path = str(self._folder / f"{number:03}-{round_:06}.arrow")
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_stream(sink, SCHEMA, options=options) as writer:
                writer.write_batch(batch)
        (self._folder / f"{round_:06}.round").touch()
        self._shards = [{} for _ in range(SHARDS)]
        self._held = 0
