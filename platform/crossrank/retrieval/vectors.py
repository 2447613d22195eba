"""The vectors of a corpus, made once for each encoder and kept in files of fixed numbers of rows.

A file that is there is finished, so what makes them may be killed and go on.

Shape letters: S rows of a shard, W dimensions.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.corpus.store import TextStore, Usable
from crossrank.errors import CorpusTooLarge, JobFailed
from crossrank.retrieval.dense import Shard
from crossrank.retrieval.encoder import Encoder
from crossrank.storage.node_cache import build_once

SHARD_ROWS = 4096
"""Rows of a shard, about half a minute of a small encoder on one core. Fixed: which texts are encoded together decides
the last bit of a vector."""


@dataclass(frozen=True, slots=True)
class VectorStore:
    """The vectors of one corpus by one encoder, in a folder; it pickles."""

    folder: str
    """Path or URI that every worker reaches; its name holds the keys of corpus and encoder."""
    num_rows: int
    dimensions: int
    dtype: str
    """Number format of the files, ``float32`` or ``float16``."""

    @property
    def num_shards(self) -> int:
        return -(-self.num_rows // SHARD_ROWS)

    @property
    def num_bytes(self) -> int:
        """Bytes of all shards."""
        return self.num_rows * self.dimensions * np.dtype(self.dtype).itemsize

    def uri(self, number: int) -> str:
        """The file of a shard."""
        return storage.join(self.folder, f"vectors-{number:06}.npy")

    def missing(self) -> list[int]:
        """Shards that are not there yet."""
        there = {file.uri.rsplit("/", 1)[-1] for file in storage.list_files(self.folder, suffix=".npy")}
        return [number for number in range(self.num_shards) if self.uri(number).rsplit("/", 1)[-1] not in there]

    def refuse_too_large(self, num_missing: int, way_out: str) -> None:
        """Refuse vectors that the disk does not hold, before the first is made.

        Args:
            way_out: end of the refusal: what to do, by the flags of the verb.
        """
        if storage.is_s3(self.folder):
            return
        folder = next(each for each in (Path(self.folder), *Path(self.folder).parents) if each.exists())
        need = self.num_bytes * num_missing // max(self.num_shards, 1)
        free = shutil.disk_usage(folder).free
        if need > free:
            raise CorpusTooLarge(
                f"the vectors of {self.num_rows:,} passages take {need / 1e9:,.1f} GB and {self.folder} has "
                f"{free / 1e9:,.1f} GB left; {way_out}"
            )

    def make(self, number: int, corpus: TextStore, encoder: Encoder) -> int:
        """Make the file of a shard. Returns how many passages were encoded; rows that cannot be used are zeros."""
        rows = self._rows(number)
        usable_S = corpus.usable(slice(rows.start, rows.stop)) == Usable.YES
        vectors_SW = np.zeros((len(rows), self.dimensions), dtype=self.dtype)
        texts = corpus.texts(rows.start + np.flatnonzero(usable_S))
        if texts:
            made = encoder.passages(texts)
            if made.shape[1] != self.dimensions:
                raise JobFailed(
                    f"the encoder gives {made.shape[1]} dimensions, and its configuration says {self.dimensions}; "
                    f"use another encoder"
                )
            vectors_SW[usable_S] = made
        buffer = io.BytesIO()
        np.save(buffer, vectors_SW)
        storage.write_bytes(self.uri(number), buffer.getvalue())
        return len(texts)

    def open(self, numbers: Iterable[int], corpus: TextStore) -> list[Shard]:
        """Map these shards into memory, from an object store by way of this machine's cache.

        Raises:
            JobFailed: a file is not whole, or of another corpus.
        """
        shards = []
        for number in numbers:
            rows = self._rows(number)
            usable_S = corpus.usable(slice(rows.start, rows.stop)) == Usable.YES
            shards.append(Shard(rows.start, self._mapped(number, len(rows)), usable_S))
        return shards

    def _rows(self, number: int) -> range:
        return range(number * SHARD_ROWS, min((number + 1) * SHARD_ROWS, self.num_rows))

    def _mapped(self, number: int, num_rows: int) -> NDArray[np.floating]:
        path = Path(self.uri(number))
        if storage.is_s3(self.folder):
            folder = storage.cache_folder() / "vectors" / self.folder.rsplit("/", 1)[-1] / f"{number:06}"
            build_once(folder, lambda new: storage.copy(self.uri(number), str(new / "vectors.npy")))
            path = folder / "vectors.npy"
        try:
            vectors_SW = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise JobFailed(
                f"{path} cannot be read as vectors ({error}); remove it and run the same command again"
            ) from error
        if vectors_SW.shape != (num_rows, self.dimensions) or vectors_SW.dtype != self.dtype:
            raise JobFailed(
                f"{path} holds {vectors_SW.dtype} of shape {vectors_SW.shape}, and {self.dtype} of shape "
                f"{(num_rows, self.dimensions)} is wanted; remove it and run the same command again"
            )
        # Slicing an np.memmap is slow, slicing an array over the same pages is not.
        return np.asarray(vectors_SW)
