"""Groups and a corpus of made-up words to mine in. As a program: the driver of such a job, to be killed.

python -m tests.data.mining '{"settings": {...}, "encoder": {...}, "teacher": {"log": ..., "pair_s": ...}}'
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crossrank import storage
from crossrank.config.settings import from_mapping
from crossrank.mining.settings import MineSettings
from crossrank.storage import files
from tests.ray.driver import Driver
from tests.ray.stand_ins import LoggedSpec
from tests.unit.mining.in_process import WordSpec

WORDS = [f"w{number}" for number in range(400)]


def write(folder: str, num_groups: int, num_passages: int, seed: int = 1) -> dict[str, str]:
    """Files in `folder`, a path or a URI, as the settings that name them. The n-th passage answers the n-th group."""
    rng = random.Random(seed)
    passages = {f"d{n}": " ".join(rng.choices(WORDS, k=rng.randint(8, 30))) for n in range(num_passages)}
    groups = [
        {
            "query_id": f"q{n}",
            "query": " ".join(rng.sample(passages[f"d{n}"].split(), 4)),
            "docs": [{"doc_id": f"d{n}", "label": 1.0}],
        }
        for n in range(num_groups)
    ]
    corpus = [{"_id": identifier, "text": text} for identifier, text in passages.items()]
    uris = {"groups": storage.join(folder, "groups.jsonl"), "corpus": storage.join(folder, "corpus.jsonl")}
    for name, rows in (("groups", groups), ("corpus", corpus)):
        storage.write_bytes(uris[name], "\n".join(map(json.dumps, rows)).encode())
    return uris


def settings_of(uris: dict[str, str], output: Any, **more: Any) -> dict[str, Any]:
    """Keywords of `MineSettings` for stand-ins."""
    names = {"encoder": "stand-in", "teacher": "stand-in", "language": "en", "negatives": 4, "depth": 20}
    return {**uris, "output": str(output), **names, "absolute_margin": 0.5, **more}


def made(keywords: dict[str, Any]) -> MineSettings:
    return from_mapping(MineSettings, keywords, "the test")


def read_output(output: str) -> pa.Table:
    """The output folder as any Parquet reader takes it, one table, by row."""
    filesystem, path = files.filesystem(output)
    return pq.read_table(path, filesystem=filesystem).sort_by("row")


def driver_of(settings: dict[str, Any], encoder: WordSpec, teacher: LoggedSpec, log: Path) -> Driver:
    job = {"settings": settings, "encoder": asdict(encoder), "teacher": asdict(teacher)}
    return Driver([sys.executable, "-m", "tests.data.mining", json.dumps(job)], log)


def _main() -> None:
    from crossrank.mining.job import mine

    job = json.loads(sys.argv[1])
    mine(made(job["settings"]), WordSpec(**job["encoder"]), LoggedSpec(**job["teacher"]))


if __name__ == "__main__":
    _main()
