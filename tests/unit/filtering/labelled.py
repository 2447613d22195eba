"""The labelled pairs: where they are, and how they were halved before any filter was written.

A pair is `{"id", "lang", "source", "target", "reason", "note"}`; `reason` is null for a good translation, and else the
reason code that a filter has to give (it may give more). Thresholds are chosen from the half `thresholds` alone; the
half `sealed` is for `test_sealed_half.py`, and whoever looks at it writes so in docs/log.md.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
SEED = 5
HALVES = ("thresholds", "sealed")
LANGUAGES = ("ko", "de")

Pair = dict[str, Any]


def read(language: str, half: str) -> list[Pair]:
    """The pairs of one half of one language."""
    lines = (DATA / f"en-{language}.{half}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def halves(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Two halves with equally many of every reason and language, drawn with `SEED`; each in the order of the ids."""
    strata: defaultdict[tuple[str, str], list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: str(pair["id"])):
        strata[pair["lang"], str(pair["reason"])].append(pair)
    first, second = [], []
    for name, stratum in sorted(strata.items()):
        drawn = random.Random(f"{SEED} {name}").sample(stratum, len(stratum))
        first += drawn[: len(drawn) // 2]
        second += drawn[len(drawn) // 2 :]
    return sorted(first, key=lambda pair: str(pair["id"])), sorted(second, key=lambda pair: str(pair["id"]))
