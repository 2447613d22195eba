"""Answers of many threads, kept together."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from crossrank.errors import OutputError
from crossrank.translation.batched_writer import Keeper
from crossrank.translation.memory.blocks import Entry


def entry(number: int) -> Entry:
    return Entry(bytes([number]), "", str(number), "x")


def test_keep_returns_when_it_is_durable_and_one_sync_serves_many() -> None:
    durable: list[Entry] = []
    calls = 0

    def add(entries: Sequence[Entry]) -> None:
        nonlocal calls
        calls += 1
        time.sleep(0.01)
        durable.extend(entries)

    def give(number: int) -> None:
        keeper.keep([entry(number)])
        assert entry(number) in durable

    with Keeper(add) as keeper:
        threads = [threading.Thread(target=give, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(durable) == 20
    assert calls < 20


def test_a_disk_that_fails_is_told_to_all_who_wait_and_to_those_who_come() -> None:
    def add(entries: Sequence[Entry]) -> None:
        raise OutputError("the disk is full")

    with Keeper(add) as keeper:
        for number in range(2):
            with pytest.raises(OutputError, match="the disk is full"):
                keeper.keep([entry(number)])
