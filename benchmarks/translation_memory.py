"""The translation memory as it grows: answers kept and looked up a second, size on disk, and memory of the process.

    python benchmarks/translation_memory.py                      # 100,000 and 1,000,000 texts, minutes

Texts are synthetic, of the mean length of MS MARCO's passages, 335 characters, and their translations half as long, in
Hangul. Each step is a process of its own. `anonymous MiB` is what the process holds beside the mapped files, which the
kernel takes back when it needs them. Unknown texts are looked up in every file, known ones until they are found.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine

from crossrank.translation.keys import TextKeys
from crossrank.translation.memory.blocks import Entry
from crossrank.translation.memory.store import Memory

KEYS = TextKeys({"backend": "amazon", "source": "en", "target": "ko"})
CHARACTERS = 335
BLOCK = 32
"""Entries of one sync: what the slots of a job keep together."""
LOOKED_UP = 200_000
BATCH = 8192


def entries(count: int) -> Iterator[Entry]:
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 9))) for _ in range(5_000)]
    for number in range(count):
        text = f"{number} {' '.join(rng.choices(words, k=CHARACTERS // 7))}"
        yield Entry(KEYS.of(text), KEYS.identity, text, "".join(chr(0xAC00 + ord(sign) * 7) for sign in text[::2]))


def keep(folder: Path, count: int) -> float:
    """Keep so many answers. Returns seconds of keeping alone."""
    seconds = 0.0
    with Memory.writing(str(folder)) as memory:
        block: list[Entry] = []
        for entry in entries(count):
            block.append(entry)
            if len(block) == BLOCK:
                started = time.monotonic()
                memory.add(block)
                seconds += time.monotonic() - started
                block = []
        memory.add(block)
        started = time.monotonic()
    return seconds + time.monotonic() - started


def look_up(folder: Path, count: int) -> float:
    """Look up known and unknown texts in turn. Returns seconds without the opening."""
    memory = Memory.reading(str(folder))
    assert len(memory) == count
    known = [entry.key for entry, _ in zip(entries(count), range(LOOKED_UP // 2), strict=False)]
    keys = known + [KEYS.of(f"unknown {number}") for number in range(LOOKED_UP - len(known))]
    random.Random(1).shuffle(keys)
    started = time.monotonic()
    found = np.concatenate([memory.has(keys[start : start + BATCH]) for start in range(0, len(keys), BATCH)])
    seconds = time.monotonic() - started
    assert found.sum() == len(known)
    return seconds


def open_(folder: Path, count: int) -> float:
    """Open it on a machine that never saw it."""
    started = time.monotonic()
    assert len(Memory.reading(str(folder))) == count
    return time.monotonic() - started


STEPS: dict[str, Callable[[Path, int], float]] = {"keep": keep, "open": open_, "look_up": look_up}


def step(name: str, folder: Path, cache: Path, count: int) -> dict[str, float]:
    """One step in a process of its own."""
    command = [sys.executable, __file__, "--step", name, str(folder), str(count)]
    done = subprocess.run(
        command, env={"CROSSRANK_CACHE": str(cache), "PATH": ""}, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(count: int) -> dict[str, Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory() as work:
        folder, cache = Path(work) / "memory", Path(work) / "cache"
        kept = step("keep", folder, cache, count)
        opened = step("open", folder, Path(work) / "another cache", count)
        found = step("look_up", folder, cache, count)
        num_bytes = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        return {
            "texts": count,
            "files": len(list(folder.glob("*.parquet"))),
            "MiB on disk": round(num_bytes / 2**20),
            "kept a second": round(count / kept["seconds"]),
            "anonymous MiB while keeping": round(kept["anonymous_mib"]),
            "first opened on a machine, s": round(opened["seconds"], 1),
            "looked up a second": round(LOOKED_UP / found["seconds"]),
            "anonymous MiB while looking up": round(found["anonymous_mib"]),
        }


class Peak:
    """The most that this process held, looked at ten times a second. Use it in a ``with`` block."""

    def __init__(self) -> None:
        self.mib = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.mib = max(self.mib, _anonymous_mib())


def _anonymous_mib() -> float:
    return int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024  # type: ignore[index]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.step:
        name, folder, count = given.step
        with Peak() as peak:
            seconds = STEPS[name](Path(folder), int(count))
        print(json.dumps({"seconds": seconds, "anonymous_mib": peak.mib}))
        return
    rows = [measure(count) for count in given.texts]
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")
    print(json.dumps({"benchmark": "translation_memory", "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
