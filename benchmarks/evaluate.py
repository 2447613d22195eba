"""`crossrank evaluate`: how long it takes, and how much memory.

    python benchmarks/evaluate.py                          # all three, with shared data beside the repository
    python benchmarks/evaluate.py --parts tokenisers

tokenisers: the rows that BM25 has on KorQuAD, 3,960 questions and 608 paragraphs, by character bigrams and by morphemes
            (kiwipiepy), each a run of its own with an empty cache.
csv:        the 300 rows of KorQuAD as `question,answer,doc_id,doc`, with two models: the embedded encoder by its
            cosine, and the same one under a random head, from start to report.
million:    10,000 queries of 100 documents over 50,000 passages, whose scores by a stand-in lie there already: what is
            left of the command is measuring, and that is timed, with its peak memory (`VmHWM`).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import DATA, WORK, machine

PARTS = ("tokenisers", "csv", "million")
NUM_QUERIES, DEPTH, NUM_PASSAGES = 10_000, 100, 50_000
CHILD = """
import json, re, resource, sys, time
sys.path.insert(0, sys.argv[2])
from crossrank.evaluation import job
from crossrank.evaluation.settings import EvaluateSettings
from stand_in import StandInSpec
if sys.argv[3] == "stand-in":
    job.spec_of = lambda name, model, settings: StandInSpec(name)
given = json.loads(sys.argv[1])
started = time.perf_counter()
results = job.evaluate(EvaluateSettings(**given | {"models": tuple(given["models"])}))
used = resource.getrusage(resource.RUSAGE_SELF)
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
means = {name: {each: round(mean["mean"], 4) for each, mean in of.items()}
         for name, of in results["tables"]["retrieved"]["means"].items()}
print(json.dumps({"seconds": round(time.perf_counter() - started, 1),
                  "processor_s": round(used.ru_utime + used.ru_stime, 1), "peak_mib": peak_kib // 1024,
                  "first_stage": results["first_stage"], "queries": results["queries"], "means": means,
                  "speeds": {row["name"]: [row["pairs"], row["pairs_per_second"], row.get("p50_ms")]
                             for row in results["rows"] if row["model"]}}))
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    given = parser.parse_args(arguments)
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in given.parts:
            results |= {"tokenisers": tokenisers, "csv": csv, "million": million}[part](Path(folder))
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print(f"{'load average':22} {os.getloadavg()[0]:.1f}")
    for name, figures in results.items():
        print(f"\n{name}")
        for key, value in figures.items():
            print(f"  {key:14} {value}")


def tokenisers(folder: Path) -> dict[str, dict[str, Any]]:
    """BM25 alone, no model."""
    korquad = dict.fromkeys(("queries", "corpus", "qrels"), str(DATA / "korquad"))
    found = {}
    for language in ("ko", "ko-kiwi"):
        given: dict[str, Any] = {**korquad, "language": language, "models": [], "output": str(folder / language)}
        found[f"tokenisers {language}"] = run(given, folder / f"cache-{language}")
    return found


def csv(folder: Path) -> dict[str, dict[str, Any]]:
    """The ko-reranker's layout of evaluation set, with models."""
    from models import minilm

    from crossrank.demo.encoder import encoder_folder

    models = [f"encoder={encoder_folder()}", f"random head={minilm(WORK)}"]
    given: dict[str, Any] = {
        "eval_csv": str(DATA / "korquad" / "eval_dataset.csv"),
        "models": models,
        "output": str(folder / "csv"),
    }
    given |= {"depth": 10, "max_length": 256, "gpus_per_worker": 0.0, "timed_queries": 20}
    return {"csv": run(given, folder / "cache-csv")}


def million(folder: Path) -> dict[str, dict[str, Any]]:
    """Scored first, and then measured by the same command again, in a process of its own."""
    files = write_million(folder)
    given: dict[str, Any] = {**files, "models": ["a=stand-in"], "output": str(folder / "million"), "timed_queries": 0}
    given |= {"gpus_per_worker": 0.0, "depth": DEPTH}
    cache = folder / "cache-million"
    scored = run(given, cache, stand_in=True)
    return {"million, scored and measured": scored, "million, measured": run(given, cache, stand_in=True)}


def write_million(folder: Path) -> dict[str, str]:
    """Groups in the order of a first stage, whose documents are ids of a corpus; one to three of each are judged."""
    from crossrank.formats.groups_parquet import write_groups
    from crossrank.records import Candidate, Group

    rng = random.Random(1)
    words = ["".join(rng.choices("etaoinshrdlucmfw", k=rng.randint(2, 9))) for _ in range(5_000)]
    with open(folder / "corpus.jsonl", "w", encoding="utf-8") as file:
        for number in range(NUM_PASSAGES):
            file.write(json.dumps({"_id": f"d{number}", "text": " ".join(rng.choices(words, k=55))}) + "\n")

    def group(number: int) -> Group:
        names = rng.sample(range(NUM_PASSAGES), DEPTH)
        labels: list[float | None] = [None] * DEPTH
        for _ in range(rng.randint(0, 2)):
            labels[rng.randrange(DEPTH)] = 0.0
        labels[min(int(rng.expovariate(0.3)), DEPTH - 1)] = 1.0
        docs = tuple(
            Candidate(f"d{name}", label=label, rank=rank, score=30.0 - rank / 10)
            for rank, (name, label) in enumerate(zip(names, labels, strict=True), start=1)
        )
        return Group(f"q{number}", f"{rng.choice(words)} {rng.choice(words)} {number}", docs)

    write_groups(str(folder / "groups.parquet"), map(group, range(NUM_QUERIES)))
    return {"groups": str(folder / "groups.parquet"), "corpus": str(folder / "corpus.jsonl")}


def run(given: dict[str, Any], cache: Path, stand_in: bool = False) -> dict[str, Any]:
    """What the child says."""
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", CHILD, json.dumps(given), here, "stand-in" if stand_in else "models"]
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"CROSSRANK_CACHE": str(cache), "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
