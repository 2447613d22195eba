"""`Keeper`: answers of many threads go into the memory together, one sync for all that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from crossrank.translation.memory.blocks import Entry

Add = Callable[[Sequence[Entry]], None]


class Keeper:
    """Writes entries of many threads in batches, one thread at a time. Use it in a ``with`` block."""

    def __init__(self, add: Add) -> None:
        """Keep entries by `add`, which is called by one thread at a time."""
        self._add = add
        self._changed = threading.Condition()
        self._waiting: list[Entry] = []
        self._given = self._kept = 0
        self._error: BaseException | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()

    def keep(self, entries: Sequence[Entry]) -> None:
        """Keep entries. Returns when they are durable; raises what `add` raised if they are not."""
        with self._changed:
            self._waiting.extend(entries)
            self._given += len(entries)
            mine = self._given
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._kept >= mine or self._error is not None)
            if self._kept < mine and self._error is not None:
                raise self._error

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    return
                batch, self._waiting = self._waiting, []
            try:
                self._add(batch)
            except BaseException as error:
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._kept += len(batch)
                self._changed.notify_all()
