"""`Memory`: earlier translations by key, and new ones, kept before they are used.

Shape letters: L keys looked up.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossrank import storage
from crossrank.errors import InputError, JobFailed
from crossrank.resumable.output import alone
from crossrank.storage.content_hash import hash_bytes
from crossrank.storage.lease import Lease
from crossrank.telemetry.progress import say
from crossrank.translation.backend import Outcome
from crossrank.translation.memory.blocks import Entry, decode, encode
from crossrank.translation.memory.log import log_of
from crossrank.translation.memory.mapped import MappedPart, as_array, halves
from crossrank.translation.memory.parts import Part, delete_part, entries_of, list_parts, read_part, write_part

ROLL_BYTES = 32 << 20
"""Bytes of the log from which it becomes a part; until then they are held in memory."""
SMALL_PART_BYTES = 4 << 20
"""Bytes under which a part is joined with what comes after it."""
BLOCK_S = 0.1
"""Seconds after which a block that was not whole is read again; to write one takes much less."""
TRIES = 5
"""Attempts to open a memory whose parts a writer joins meanwhile."""


class Memory:
    """A folder of answers. Later ones take the place of earlier ones. Several threads may ask and keep.

    Memory of this process: the log, at most `ROLL_BYTES` of it; the rest is mapped.
    """

    def __init__(self, folder: str, writes: bool, lease: Lease | None = None) -> None:
        self.folder = storage.absolute(folder)
        self._writes = writes
        self._hold = lease or Lease()
        self._lock = threading.RLock()
        self._log = log_of(self.folder)
        self._recent: dict[bytes, Entry] = {}
        self._recent_bytes = 0
        whole = self._log.read()
        if whole.lost_bytes and not writes:  # a writer may be in the middle of a block
            time.sleep(BLOCK_S)
            whole = self._log.read()
        for block in whole.blocks:
            self._remember(list(decode(block)), len(block))
        if whole.lost_bytes:
            say(
                f"the end of the log of the translation memory {self.folder} is damaged: {whole.lost_bytes:,} bytes "
                f"were no whole block and are left out; the {len(self._recent):,} texts before them are kept"
            )
        self._parts: list[Part] = []
        self._mapped: list[MappedPart] = []
        for part in list_parts(self.folder):
            self._take(part)
        if writes:
            self._log.repair(whole)
            self._rewrite_damaged()

    @classmethod
    def reading(cls, folder: str) -> Memory:
        """Look things up alone; others may read, and one may write, at the same time."""
        for _ in range(TRIES):
            parts = list_parts(folder)
            try:
                return cls(folder, writes=False)
            except InputError:
                if parts == list_parts(folder):
                    raise
        return cls(folder, writes=False)

    @classmethod
    @contextmanager
    def writing(cls, folder: str) -> Iterator[Memory]:
        """Look things up and keep what is new. Refuses a folder that another job writes to."""
        with alone(folder, "--memory") as lease:
            memory = cls(folder, writes=True, lease=lease)
            try:
                yield memory
            finally:
                memory.close()

    @property
    def identities(self) -> list[dict[str, Any]]:
        """The back-ends whose answers the memory holds, in an order that is always the same."""
        found = {entry.identity for entry in self._recent.values()}
        found.update(identity for part in self._mapped for identity in part.identities)
        return [json.loads(identity) for identity in sorted(found)]

    @property
    def state(self) -> str:
        """A key for the content: a memory in another state may give other answers."""
        held = [*(part.name for part in self._parts), *sorted(key.hex() for key in self._recent)]
        return hash_bytes("\n".join(held).encode())

    def __len__(self) -> int:
        """Number of answers, with those that were replaced."""
        return len(self._recent) + sum(map(len, self._mapped))

    def has(self, keys: Sequence[bytes], failures: bool = True) -> NDArray[np.bool_]:
        """Whether there is an answer to each key. Shape (L,).

        Args:
            failures: whether a text that is kept as untranslatable counts as answered.
        """
        has_L = np.zeros(len(keys), dtype=bool)
        with self._lock:
            for place, part, row in self._found(keys):
                has_L[place] = failures or not part.is_failure(row)
            for place, key in enumerate(keys):
                if (entry := self._recent.get(key)) is not None:
                    has_L[place] = failures or entry.translation is not None
        return has_L

    def answers(self, keys: Sequence[bytes]) -> list[Outcome | None]:
        """The answer to each key; None where there is none."""
        answers: list[Outcome | None] = [None] * len(keys)
        with self._lock:
            for place, part, row in self._found(keys):
                answers[place] = part.outcome(row)
            for place, key in enumerate(keys):
                if (entry := self._recent.get(key)) is not None:
                    answers[place] = Outcome(entry.translation, entry.error)
        return answers

    def add(self, entries: Sequence[Entry]) -> None:
        """Keep answers; they are durable when this returns.

        Raises:
            OutputError: the answers are not kept.
        """
        assert self._writes, "opened to be read"
        if not entries:
            return
        self._hold.check()
        block = encode(entries)
        self._log.append(block)
        with self._lock:
            self._remember(entries, len(block))
            if self._recent_bytes >= ROLL_BYTES:
                self._roll_up()

    def entries(self) -> Iterator[Entry]:
        """Every answer that was not replaced, oldest first, with one part in memory at a time."""
        for number in range(len(self._parts)):
            yield from self._holding(number)
        yield from self._recent.values()

    def close(self) -> None:
        """Roll up what the log holds, so that the folder is whole as Parquet."""
        if self._writes and self._recent and self._is_ours():
            self._roll_up()
        self._log.close()

    def _is_ours(self) -> bool:
        # Whoever took the memory over reads the log that is left there, and rolling up takes parts of it away.
        try:
            self._hold.check()
        except JobFailed:
            return False
        return True

    def _found(self, keys: Sequence[bytes]) -> Iterator[tuple[int, MappedPart, int]]:
        """Place of a key, the newest part that has it, and the row there."""
        if not self._mapped or not keys:
            return
        places_L = np.arange(len(keys))
        high_L, low_L = halves(as_array(list(keys)))
        order_L = np.argsort(high_L)  # sorted needles are looked up faster
        places_L, high_L, low_L = places_L[order_L], high_L[order_L], low_L[order_L]
        for part in reversed(self._mapped):
            rows_L = part.rows(high_L, low_L)
            is_found_L = rows_L >= 0
            for place, row in zip(places_L[is_found_L].tolist(), rows_L[is_found_L].tolist(), strict=True):
                yield place, part, row
            places_L, high_L, low_L = places_L[~is_found_L], high_L[~is_found_L], low_L[~is_found_L]
            if not len(places_L):
                return

    def _holding(self, number: int) -> Iterator[Entry]:
        """The entries of a part that no newer one took the place of."""
        part = self._parts[number]
        if not self._writes and not storage.exists(part.uri):
            raise InputError(f"a job changed {self.folder} while it was read; run the same command again")
        found = list(entries_of(read_part(self.folder, part)[0]))
        newest = self._newest([entry.key for entry in found])
        return (entry for entry, of in zip(found, newest, strict=True) if of == number)

    def _newest(self, keys: Sequence[bytes]) -> list[int]:
        """Number of the newest part that has each key; beyond the last where the log has it."""
        numbers = {id(part): number for number, part in enumerate(self._mapped)}
        newest = [len(self._mapped)] * len(keys)
        for place, part, _ in self._found(keys):
            newest[place] = numbers[id(part)]
        return [len(self._mapped) if key in self._recent else of for key, of in zip(keys, newest, strict=True)]

    def _remember(self, entries: Sequence[Entry], num_bytes: int) -> None:
        for entry in entries:
            self._recent.pop(entry.key, None)  # the last one of a key stands last
            self._recent[entry.key] = entry
        self._recent_bytes += num_bytes

    def _take(self, part: Part) -> None:
        mapped = MappedPart.of(self.folder, part)
        if mapped.lost_rows:
            say(
                f"{part.uri} of the translation memory is damaged: {len(mapped):,} texts of its whole blocks are kept, "
                f"{mapped.lost_rows:,} are lost"
            )
        self._parts.append(part)
        self._mapped.append(mapped)

    def _rewrite_damaged(self) -> None:
        damaged = [part for part, mapped in zip(self._parts, self._mapped, strict=True) if mapped.lost_rows]
        for part in damaged:
            self._replace([self._parts.index(part)], [])

    def _roll_up(self) -> None:
        """Make one part of the log and of the small parts that stand last: short jobs leave no thousand files."""
        small: list[int] = []
        for number in reversed(range(len(self._parts))):
            if self._parts[number].num_bytes >= SMALL_PART_BYTES:
                break
            small.insert(0, number)
        self._replace(small, list(self._recent.values()))
        # A kill before this line leaves the same answers in the part and in the log, which is no harm.
        self._log.clear()
        self._recent, self._recent_bytes = {}, 0

    def _replace(self, numbers: list[int], newer: list[Entry]) -> None:
        """Write one part of the current entries of these parts and of newer ones, then remove these parts."""
        merged: dict[bytes, Entry] = {}
        for number in numbers:
            merged.update((entry.key, entry) for entry in self._holding(number))
        merged.update((entry.key, entry) for entry in newer)
        before = [self._parts[number] for number in numbers]
        written = write_part(self.folder, merged.values(), self._parts)
        for number in reversed(numbers):
            del self._parts[number], self._mapped[number]
        self._take(written)
        for part in before:
            delete_part(self.folder, part)
