"""Each text once, however many there are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from crossrank.translation.keys import TextKeys
from crossrank.translation.lookup import Unit
from crossrank.translation.unique import UniqueTexts

KEYS = TextKeys({"backend": "amazon"})


def unit(number: int) -> Unit:
    text = f"text {number} 가"
    return Unit(text, KEYS.of(text))


@pytest.mark.parametrize("buffer_characters", [50, 1000, 1 << 20])
def test_each_text_comes_out_once_through_the_disk_or_not(tmp_path: Path, buffer_characters: int) -> None:
    numbers = [number % 300 for number in range(1500)]
    random.Random(0).shuffle(numbers)
    unique = UniqueTexts(tmp_path, buffer_characters)
    for number in numbers:
        unique.add(unit(number))
    assert sorted(unique) == sorted(map(unit, range(300)))
    assert list(unique) == list(unique), "in the same order again"
    assert bool(list(tmp_path.glob("*.arrow"))) == (buffer_characters < 1 << 20)


def test_the_buffer_bounds_what_is_held(tmp_path: Path) -> None:
    unique = UniqueTexts(tmp_path, 1000)
    for number in range(2000):
        unique.add(unit(number))
        assert sum(len(text) for shard in unique._shards for text in shard.values()) < 1000


def test_no_text_is_none(tmp_path: Path) -> None:
    assert list(UniqueTexts(tmp_path)) == []
