"""The rerank job: speed against the bare scoring loop, start-up, peak memory as the input grows, bytes moved.

    python benchmarks/rerank_job.py                       # all parts, about half an hour on 2 cores
    python benchmarks/rerank_job.py --parts steady memory

steady: MiniLM-L6 over real texts, pairs a second of the job once it runs, over `Reranker.score` of the same pairs.
memory: 100,000 and 1,000,000 pairs with a stand-in scorer and candidates from a run.
scale:  200,000 queries with 50 candidates over 1,000,000 passages, the same stand-in.

Memory is the proportional set size of the job's process and all that it started (Ray, workers, the object store in
shared memory), plus what Ray spilled to disk, sampled twice a second.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from machine import WORK, machine

HERE = Path(__file__).parent
DEPTH = 75
"""Candidates of a query of the steady part: blocks, 1 % of the job, are then 150 pairs, some seconds of work."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["steady", "memory", "scale"])
    parser.add_argument("--workers", help="of the job; default what the job takes by itself")
    parser.add_argument("--run-job", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run_job:
        _run_job(json.loads(given.run_job))
        return
    results = {name: globals()[name](given.workers) for name in given.parts}
    for key, value in machine().items():
        print(f"{key:22} {value}")
    for name, figures in results.items():
        print(f"\n{name}")
        for key, value in figures.items():
            print(f"    {key:42} {value}")
    print(json.dumps({"benchmark": "rerank_job", **results}))


def steady(workers: str | None) -> dict[str, Any]:
    """The job against the bare loop over a third of its queries, before and after it, on the same cores."""
    import torch
    from models import minilm
    from texts import english

    from crossrank import Reranker

    folder = minilm(WORK)
    queries, sentences = english()
    reranker = Reranker.load(str(folder), device="cpu")
    with tempfile.TemporaryDirectory() as work:
        inputs, texts = _real_inputs(Path(work), queries, sentences)
        third = [pair for q in range(0, len(texts), 3 * DEPTH) for pair in texts[q : q + DEPTH]]
        before = _bare(reranker, third)
        # Unwatched: to read the memory maps of the family twice a second takes a good part of a core.
        job = _job(Path(work), stand_in=False, watch=False, model=str(folder), workers=workers, **inputs)
    after = _bare(reranker, third)
    bare = 2 / (1 / before + 1 / after)
    manifest = job["manifest"]
    return {
        "pairs": len(texts),
        "bare_pairs_per_second": round(bare, 1),
        "bare_before_and_after": [round(before, 1), round(after, 1)],
        "job_pairs_per_second_steady": manifest["steady_pairs_per_second"],
        "job_over_bare": round(manifest["steady_pairs_per_second"] / bare, 3),
        "job_pairs_per_second_with_start": manifest["pairs_per_second"],
        "seconds_to_first_score": round(manifest["first_score_s"], 1),
        "seconds_of_stages": manifest["seconds"],
        "workers_chosen": manifest["chosen"]["workers"],
        "workers_and_threads": [manifest["workers"], manifest["threads_of_workers"]],
        "threads_of_bare_loop": torch.get_num_threads(),
    }


def _bare(reranker: Any, pairs: list[Any]) -> float:
    reranker.score(pairs[:64])
    started = time.perf_counter()
    reranker.score(pairs)
    return len(pairs) / (time.perf_counter() - started)


def memory(workers: str | None) -> dict[str, Any]:
    """Peak memory at 100,000 and at 1,000,000 pairs, over the same corpus."""
    figures: dict[str, Any] = {}
    for num_queries in (1_000, 10_000):
        with tempfile.TemporaryDirectory() as work:
            inputs = _made_inputs(Path(work), num_queries=num_queries, depth=100, num_passages=50_000)
            job = _job(Path(work), stand_in=True, workers=workers, **inputs)
        pairs = job["manifest"]["pairs"]
        figures[f"peak_mib_at_{pairs:,}_pairs"] = job["peak_mib"]
        figures[f"seconds_at_{pairs:,}_pairs"] = job["seconds"]
    small, large = (value for key, value in figures.items() if key.startswith("peak"))
    return {**figures, "growth": round(large / small, 3)}


def scale(workers: str | None) -> dict[str, Any]:
    """10 million pairs over a million passages."""
    with tempfile.TemporaryDirectory() as work:
        inputs = _made_inputs(Path(work), num_queries=200_000, depth=50, num_passages=1_000_000)
        sizes = {name: Path(path).stat().st_size for name, path in inputs.items() if Path(path).is_file()}
        job = _job(Path(work), stand_in=True, workers=workers, **inputs)
        output = Path(work) / "out"
        prepared = sum(file.stat().st_size for file in (output / "_prepared").iterdir())
        parts = sum(file.stat().st_size for file in output.glob("part-*.parquet"))
    return {
        "pairs": job["manifest"]["pairs"],
        "input_mib": {name: round(size / 2**20) for name, size in sizes.items()},
        "peak_mib": job["peak_mib"],
        "seconds": job["seconds"],
        "seconds_of_stages": job["manifest"]["seconds"],
        "pairs_per_second": job["manifest"]["pairs_per_second"],
        "object_store_mib": job["object_store_mib"],
        "prepared_blocks_mib": round(prepared / 2**20),
        "parts_mib": round(parts / 2**20),
    }


def _real_inputs(folder: Path, queries: list[str], sentences: list[str]) -> tuple[dict[str, Any], list[Any]]:
    """Lists of `DEPTH` documents of one to twelve sentences each, as a run over a corpus; and as plain pairs."""
    rng = random.Random(0)
    documents = [" ".join(rng.sample(sentences, rng.choice([1, 2, 4, 6, 12]))) for _ in range(2_000)]
    run = {q: rng.sample(range(len(documents)), DEPTH) for q in range(len(queries))}
    _write(folder, queries, documents, run)
    pairs = [(queries[q], documents[d]) for q, found in run.items() for d in found]
    return _inputs(folder), pairs


def _made_inputs(folder: Path, num_queries: int, depth: int, num_passages: int) -> dict[str, Any]:
    """Passages of about 500 bytes of made-up words, and a run of random candidates."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghij", k=rng.randint(2, 9))) for _ in range(5_000)]
    with open(folder / "corpus.jsonl", "w") as corpus:
        for d in range(num_passages):
            print(json.dumps({"_id": f"d{d}", "text": " ".join(rng.choices(words, k=75))}), file=corpus)
    with open(folder / "queries.jsonl", "w") as queries, open(folder / "run.trec", "w") as run:
        for q in range(num_queries):
            print(json.dumps({"_id": f"q{q}", "text": " ".join(rng.choices(words, k=8))}), file=queries)
            first = rng.randrange(num_passages)
            step = rng.randrange(1, num_passages // depth)
            for rank in range(depth):
                print(f"q{q} Q0 d{(first + rank * step) % num_passages} {rank + 1} {depth - rank} made", file=run)
    return _inputs(folder)


def _write(folder: Path, queries: list[str], documents: list[str], run: dict[int, list[int]]) -> None:
    (folder / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{q}", "text": text}) + "\n" for q, text in enumerate(queries))
    )
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{d}", "text": text}) + "\n" for d, text in enumerate(documents))
    )
    (folder / "run.trec").write_text(
        "".join(f"q{q} Q0 d{d} {r + 1} {-r} made\n" for q, found in run.items() for r, d in enumerate(found))
    )


def _inputs(folder: Path) -> dict[str, Any]:
    names = {"queries": "queries.jsonl", "corpus": "corpus.jsonl", "candidates": "run.trec"}
    return {key: str(folder / name) for key, name in names.items()}


def _job(work: Path, *, stand_in: bool, watch: bool = True, **settings: Any) -> dict[str, Any]:
    """Run the job in a process of its own, and watch the memory of its whole family if wanted."""
    settings = {"model": "stand-in", "output": str(work / "out"), "gpus_per_worker": 0.0, **settings}
    request = json.dumps({"settings": settings, "stand_in": stand_in, "report": str(work / "report.json")})
    environment = os.environ | {"CROSSRANK_CACHE": str(work / "cache")}
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, "--run-job", request], env=environment, cwd=HERE)
    peak = _Peak(process.pid) if watch else None
    if process.wait():
        sys.exit("the job failed")
    report: dict[str, Any] = json.loads((work / "report.json").read_text())
    shutil.rmtree(work / "cache", ignore_errors=True)
    return {**report, "peak_mib": peak.stop() if peak else None, "seconds": round(time.monotonic() - started, 1)}


def _run_job(request: dict[str, Any]) -> None:
    import ray
    from stand_in import StandInSpec

    from crossrank.reranking.job import rerank
    from crossrank.reranking.settings import RerankSettings

    manifest = rerank(RerankSettings(**request["settings"]), StandInSpec() if request["stand_in"] else None)
    from ray._private.internal_api import get_memory_info_reply, get_state_from_address

    stats = get_memory_info_reply(get_state_from_address(ray.get_runtime_context().gcs_address)).store_stats
    moved = stats.cumulative_created_bytes / 2**20
    Path(request["report"]).write_text(
        json.dumps({"manifest": manifest, "object_store_mib": round(moved, 2)}, default=str)
    )


class _Peak:
    """The largest memory that a process and its descendants had together."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._ended.set()
        self._thread.join()
        return round(self._peak / 2**20)

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            total = 0
            try:
                family = [psutil.Process(self._pid), *psutil.Process(self._pid).children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for process in family:
                try:
                    total += process.memory_full_info().pss
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            self._peak = max(self._peak, total + _spilled_bytes())


def _spilled_bytes() -> int:
    """What Ray sessions of this machine have spilled to disk."""
    return sum(
        file.stat().st_size
        for folder in Path("/tmp/ray").glob("session_latest/ray_spilled_objects*")
        for file in folder.rglob("*")
        if file.is_file()
    )


if __name__ == "__main__":
    main(sys.argv[1:])
