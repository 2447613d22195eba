"""How many workers one rerank job feeds: with a scorer that sleeps for each token, so that two cores hold many of them.

    python benchmarks/scaling.py                          # 1, 2, 4, ... 64 workers, then the driver: about 20 minutes
    python benchmarks/scaling.py --workers 1 16 --parts workers

workers: real English texts, read, scored and written with their texts; a worker scores some 500 pairs a second. The
         part of linear is its rate over that of one worker, times the workers, all in this run.
driver:  jobs with a scorer that costs nothing: what of the processor and of the memory the driver and Ray's own
         processes take for ten times the rows (queries of 4 candidates), and for queries of 50 candidates. Memory is
         the peak of what is resident; of its own is what no file holds, which the kernel cannot take back.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from machine import machine
from numpy.typing import NDArray
from stand_in import StandIn, StandInSpec
from texts import english

from crossrank.scoring.interfaces import EncodedText, Scored
from crossrank.scoring.spec import ScorerSpec

HERE = Path(__file__).parent
DEPTH = 50
STEADY_S = 40.0
"""Work of each worker."""
PAIRS_PER_SECOND = 550.0
"""Of one worker, were there nothing but the sleep."""
CHEAP_DEPTH = 4
PASSAGES = 20_000


class Sleeping(StandIn):
    """A stand-in that takes a time for each token, as a GPU does, and no processor."""

    def __init__(self, token_s: float) -> None:
        self._token_s = token_s

    def score_encoded(
        self,
        queries: Sequence[EncodedText],
        documents: Sequence[EncodedText],
        query_P: NDArray[np.integer],
        document_P: NDArray[np.integer],
    ) -> Scored:
        scored = super().score_encoded(queries, documents, query_P, document_P)
        time.sleep(float(scored.tokens_P.sum()) * self._token_s)
        return scored


@dataclass(frozen=True, slots=True)
class SleepingSpec(ScorerSpec):
    """Loads one."""

    token_s: float
    revision: str = "sleeping"

    def load(self, threads: int | None) -> Sleeping:
        return Sleeping(self.token_s)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--parts", nargs="+", default=["workers", "driver"], choices=["workers", "driver"])
    parser.add_argument("--run-job", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run_job:
        run_job(json.loads(given.run_job))
        return
    tables = []
    if "workers" in given.parts:
        tables.append(of_workers(given.workers))
    if "driver" in given.parts:
        tables.append(of_driver())
    for key, value in machine().items():
        print(f"{key:22} {value}")
    for rows in tables:
        print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
        for row in rows:
            print("| " + " | ".join(str(value) for value in row.values()) + " |")
    print(json.dumps({"benchmark": "scaling", "tables": tables}))


def of_workers(counts: list[int]) -> list[dict[str, Any]]:
    """A row for each number of workers."""
    rows: list[dict[str, Any]] = []
    first: tuple[int, float] | None = None
    for workers in counts:
        pairs = int(workers * PAIRS_PER_SECOND * STEADY_S)
        report = measured(workers, pairs // DEPTH, DEPTH, sleeping=True)
        rate = report["manifest"]["steady_pairs_per_second"]
        first = first or (workers, rate)
        rows.append(
            {
                "workers": workers,
                "pairs": report["manifest"]["pairs"],
                "blocks": report["manifest"]["blocks"],
                "pairs/s, steady": round(rate),
                "of a worker": round(rate / workers),
                "part of linear": round(rate / workers / (first[1] / first[0]), 3),
                "cores busy, whole job": report["cores"],
                "driver, CPU s": report["driver_s"],
                "Ray's own, CPU s": report["ray_s"],
            }
        )
        print(rows[-1], file=sys.stderr, flush=True)
    return rows


def of_driver() -> list[dict[str, Any]]:
    """What ten times the rows take, by the difference, and what more candidates do."""
    rows = []
    for num_rows, depth in ((100_000, CHEAP_DEPTH), (1_000_000, CHEAP_DEPTH), (100_000, DEPTH)):
        report = measured(2, num_rows, depth, sleeping=False)
        manifest = report["manifest"]
        rows.append(
            {
                "rows": f"{num_rows:,}",
                "candidates": depth,
                "blocks": manifest["blocks"],
                "seconds": json.dumps(manifest["seconds"]),
                "driver, CPU s": report["driver_s"],
                "driver, peak MiB": report["driver_mib"],
                "of its own, MiB": report["driver_own_mib"],
                "Ray's own, CPU s": report["ray_s"],
                "plan, MiB": report["plan_mib"],
            }
        )
    return rows


def measured(workers: int, rows: int, depth: int, sleeping: bool) -> dict[str, Any]:
    """Run a job in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        inputs, tokens = real_inputs(Path(folder), rows, depth)
        settings: dict[str, Any] = {"model": "stand-in", "output": f"{folder}/out", "workers": str(workers), **inputs}
        settings |= {"gpus_per_worker": 0.0, "with_text": True}
        token_s = 1 / PAIRS_PER_SECOND / tokens if sleeping else 0.0
        report_file = Path(folder) / "report.json"
        request = {"settings": settings, "token_s": token_s, "report": str(report_file)}
        environment = os.environ | {"CROSSRANK_CACHE": f"{folder}/cache"}
        subprocess.run(
            [sys.executable, __file__, "--run-job", json.dumps(request)], env=environment, cwd=HERE, check=True
        )
        report: dict[str, Any] = json.loads(report_file.read_text())
        report["plan_mib"] = round((Path(folder) / "out/_prepared/plan.json").stat().st_size / 2**20, 2)
    return report


def real_inputs(folder: Path, rows: int, depth: int) -> tuple[dict[str, str], float]:
    """Real questions over passages of one to four real sentences; and the mean number of tokens of a pair."""
    queries, sentences = english()
    rng = random.Random(0)
    documents = [" ".join(rng.sample(sentences, rng.choice([1, 2, 4]))) for _ in range(PASSAGES)]
    files = {"queries": folder / "queries.jsonl", "corpus": folder / "corpus.jsonl", "candidates": folder / "run.trec"}
    with open(files["corpus"], "w") as corpus:
        for number, text in enumerate(documents):
            print(json.dumps({"_id": f"d{number}", "text": text}), file=corpus)
    with open(files["queries"], "w") as asked, open(files["candidates"], "w") as run:
        for row in range(rows):
            print(json.dumps({"_id": f"q{row}", "text": queries[row % len(queries)]}), file=asked)
            first, step = rng.randrange(PASSAGES), rng.randrange(1, PASSAGES // depth)
            for rank in range(depth):
                print(f"q{row} Q0 d{(first + rank * step) % PASSAGES} {rank + 1} {depth - rank} made", file=run)
    return {name: str(file) for name, file in files.items()}, sum(len(text.split()) for text in documents) / PASSAGES


def run_job(request: dict[str, Any]) -> None:
    """The job; its report has what its processes took."""
    import ray

    from crossrank.reranking.job import rerank
    from crossrank.reranking.settings import RerankSettings

    workers = int(request["settings"]["workers"])
    # As the local Ray of a job, with logical CPUs for so many workers.
    os.environ.setdefault("RAY_num_workers_soft_limit", "1")
    ray.init(address="local", num_cpus=workers + 4, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    spec = SleepingSpec(request["token_s"]) if request["token_s"] else StandInSpec()
    before = taken()
    started = time.monotonic()
    own_bytes = [0]
    threading.Thread(target=watch, args=(own_bytes,), daemon=True).start()
    manifest = rerank(RerankSettings(**request["settings"]), spec)
    seconds = time.monotonic() - started
    after = taken()
    report = {
        "manifest": manifest,
        "driver_s": round(after["driver"] - before["driver"], 1),
        "ray_s": round(after["ray"] - before["ray"], 1),
        "cores": round((after["machine"] - before["machine"]) / seconds, 2),
        "driver_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "driver_own_mib": round(own_bytes[0] / 2**20),
    }
    Path(request["report"]).write_text(json.dumps(report, default=str))


def watch(own_bytes: list[int]) -> None:
    """Keep the peak of this process's memory that is in no file."""
    process = psutil.Process()
    while True:
        now = process.memory_info()
        own_bytes[0] = max(own_bytes[0], now.rss - now.shared)
        time.sleep(0.1)


def taken() -> dict[str, float]:
    """Seconds of the processor: the driver's, those of Ray's own processes, and those of the whole machine."""
    whole = psutil.cpu_times()
    own = sum(psutil.Process().cpu_times()[:2])
    found = {"driver": own, "ray": 0.0, "machine": whole.user + whole.nice + whole.system + whole.softirq}
    for process in psutil.Process().children(recursive=True):
        try:
            if not process.cmdline()[0].startswith("ray::"):
                found["ray"] += sum(process.cpu_times()[:2])
        except (psutil.Error, IndexError):
            continue
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
