"""Rows a second and peak memory of `crossrank convert --from msmarco-triplets --to groups`, at two sizes.

    python benchmarks/import_triplets.py                         # 100,000 and 1,000,000 triplets, minutes
    python benchmarks/import_triplets.py --rows 10000 100000 --negatives 50

Triplets are synthetic: passages of MS MARCO's mean length, 335 characters, drawn from a pool of 50,000, so that they
repeat as real ones do. Each conversion is a process of its own, whose peak is what the kernel counted for its memory
(`VmHWM`; `ru_maxrss` begins with what the process that started it held). The groups are counted again afterwards, and
every passage must have one id over all rows.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from machine import machine

POOL = 50_000
PASSAGE_CHARACTERS = 335
QUERY_CHARACTERS = 33
CONVERSION = """
import json, re, resource, sys, time
from crossrank.formats.conversion import convert
started = time.perf_counter()
counts = convert("msmarco-triplets", "groups", sys.argv[1], sys.argv[2], lambda row: None)
used = resource.getrusage(resource.RUSAGE_SELF)
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps({"written": counts.written, "rejected": counts.rejected, "seconds": time.perf_counter() - started,
                  "processor_s": used.ru_utime + used.ru_stime, "peak_mib": peak_kib / 1024}))
"""


def passages() -> list[str]:
    """The pool, as the JSON text of each passage."""
    rng = random.Random("import_triplets")
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 9))) for _ in range(5_000)]

    def text(characters: int) -> str:
        return " ".join(rng.choices(words, k=characters // 6))

    return [json.dumps(text(rng.randint(PASSAGE_CHARACTERS // 2, PASSAGE_CHARACTERS * 3 // 2))) for _ in range(POOL)]


def write_triplets(path: Path, rows: int, negatives: int, pool: list[str]) -> None:
    """A packed file of so many rows, each with a positive and its negatives."""
    rng = random.Random(rows)
    with gzip.open(path, "wb", compresslevel=1) as file:
        for row in range(rows):
            positive, *others = rng.choices(pool, k=1 + negatives)
            query = f"{row} {positive[1:QUERY_CHARACTERS]}".rstrip("\\")
            file.write(f'{{"query": "{query}", "pos": [{positive}], "neg": [{", ".join(others)}]}}\n'.encode())


def measure(folder: Path, rows: int, negatives: int, pool: list[str]) -> dict[str, Any]:
    """One row of the table."""
    source, target = folder / f"{rows}.jsonl.gz", folder / f"{rows}.parquet"
    write_triplets(source, rows, negatives, pool)
    command = [sys.executable, "-c", CONVERSION, str(source), str(target)]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (done["written"], done["rejected"]) == (rows, 0)
    documents, texts_of = check(target)
    assert documents == rows * (1 + negatives)
    return {
        "rows": rows,
        "negatives a row": negatives,
        "source MiB": round(source.stat().st_size / 2**20, 1),
        "groups MiB": round(target.stat().st_size / 2**20, 1),
        "rows/s": round(rows / done["seconds"]),
        "rows/processor s": round(rows / done["processor_s"]),
        "peak MiB": round(done["peak_mib"]),
        "passages": texts_of,
    }


def check(target: Path) -> tuple[int, int]:
    """Documents of all groups, and different passages. Each passage has one id and each id one passage."""
    documents, ids = 0, dict[str, int]()
    with pq.ParquetFile(target) as file:
        for batch in file.iter_batches(columns=["docs"]):
            values = batch.column("docs").flatten()
            documents += len(values)
            for doc_id, text in zip(values.field("doc_id").to_pylist(), values.field("text").to_pylist(), strict=True):
                assert ids.setdefault(doc_id, hash(text)) == hash(text)
    assert len(set(ids.values())) == len(ids)
    return documents, len(ids)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--negatives", type=int, default=1)
    given = parser.parse_args(arguments)
    pool = passages()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(Path(folder), count, given.negatives, pool) for count in given.rows]
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(f"{value:,}" for value in row.values()) + " |")
    print(json.dumps({"benchmark": "import_triplets", "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
