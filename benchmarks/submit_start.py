"""From `crossrank submit` to the first scored part, on a cluster that is warm: a head on this machine, with token auth.

    python benchmarks/submit_start.py

Three jobs, one after the other: MiniLM on two workers, 2,000 short pairs. The first also uploads the source.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import WORK, machine
from models import minilm
from texts import english

sys.path.insert(0, str(Path(__file__).parents[1]))  # tests/ is never installed
from tests.serving.head import Head

JOBS = 3
QUERIES, DEPTH, PASSAGES = 100, 20, 500


def main() -> None:
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # a submitted job runs `python`
    with tempfile.TemporaryDirectory() as folder:
        inputs = written(Path(folder))
        head = Head(Path(folder) / "head.log")
        try:
            head.wait_until_ready()
            rows = [measured(head, inputs, Path(folder) / f"out-{number}") for number in range(JOBS)]
        finally:
            head.kill()
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(json.dumps({"benchmark": "submit_start", "rows": rows}))


def measured(head: Head, inputs: dict[str, str], output: Path) -> dict[str, Any]:
    """Submit a job and watch its output."""
    flags = {**inputs, "output": str(output), "max-length": "64", "workers": "2"}
    command = [sys.executable, "-m", "crossrank", "submit", "rerank", "--address", head.dashboard, "--"]
    command += [part for name, value in flags.items() for part in (f"--{name}", value)]
    started = time.monotonic()
    job = subprocess.Popen(
        command, env=head.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    )
    while not any(output.glob("part-*")) and job.poll() is None:
        time.sleep(0.02)
    first = time.monotonic() - started
    said, _ = job.communicate()
    assert job.returncode == 0, said
    uploaded = re.search(r"submitted as \S+, in (\S+) s", said)
    assert uploaded is not None, said
    return {"upload, s": float(uploaded[1]), "to the first part, s": round(first, 1), "pairs": QUERIES * DEPTH}


def written(folder: Path) -> dict[str, str]:
    """Real questions over real sentences, and the model."""
    queries, sentences = english()
    rng = random.Random(0)
    files = {"queries": folder / "queries.jsonl", "corpus": folder / "corpus.jsonl", "candidates": folder / "run.trec"}
    for name, texts in (("queries", queries[:QUERIES]), ("corpus", sentences[:PASSAGES])):
        lines = [json.dumps({"_id": f"{name[0]}{number}", "text": text}) for number, text in enumerate(texts)]
        files[name].write_text("\n".join(lines))
    with open(files["candidates"], "w") as run:
        for number in range(QUERIES):
            for rank, document in enumerate(rng.sample(range(PASSAGES), DEPTH), start=1):
                print(f"q{number} Q0 c{document} {rank} {DEPTH - rank} made", file=run)
    return {"model": str(minilm(WORK)), **{name: str(file) for name, file in files.items()}}


if __name__ == "__main__":
    main()
