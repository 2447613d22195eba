"""Whether the demo's reranker is above BM25, and how far from the encoder it was made from, over several seeds.

    python benchmarks/demo_seeds.py                       # seeds 1 to 5 of `crossrank demo`, minutes each on 2 cores
    python benchmarks/demo_seeds.py --seeds 1 2 --output folder

All that comes before training is the same for every seed, so it is done once; each seed then trains and is evaluated
as the demo does it, by its own recipe. A question counts with its mean over the seeds in the last row: its interval is
over questions, since five seeds say little of seeds.

Shape letters: S seeds, Q questions.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from numpy.typing import NDArray

from crossrank.demo.encoder import encoder_folder
from crossrank.demo.run import ENCODER, RECIPE
from crossrank.demo.sample import FOLDER, read_sample
from crossrank.evaluation.intervals import Mean, mean_of, paired_difference
from crossrank.evaluation.measures import MAIN
from crossrank.evaluation.runs import run_of
from crossrank.evaluation.settings import NO_RERANKER
from crossrank.formats.trec import read_run
from crossrank.recipe.chain import FOLDERS, TUNED
from crossrank.recipe.run import recipe

SHARED = ("groups", "memory", "translated", "filtered", "corpus", "mined", "_recipe")
"""Folders of the output that do not depend on the seed."""
DEPTH = 10
"""Of the reciprocal rank."""


def run_seed(seed: int, folder: Path, shared: Path) -> dict[str, Any]:
    """The demo with a seed; what its training took."""
    given = {"output": folder, "sample": FOLDER, "encoder": encoder_folder(), "train.seed": seed}
    sets = [f"{name}={value}" for name, value in given.items()]
    if shared.exists() and not folder.exists():
        for name in SHARED:
            shutil.copytree(shared / name, folder / name)
    began = time.perf_counter()
    recipe(str(RECIPE), sets, until="evaluate")
    if not shared.exists():
        for name in SHARED:
            shutil.copytree(folder / name, shared / name)
    trained = json.loads((folder / FOLDERS["train"] / "_manifest.json").read_text())
    return {"seconds": time.perf_counter() - began, "train_seconds": trained["finished"] - trained["started"]}


def reciprocal_ranks(folder: Path, row: str) -> NDArray[np.float64]:
    """Of every question that is measured with, in their order; 0 where the answer is not among the first ten.

    Over the candidates that BM25 retrieved: the run of a model has the injected ones too.
    """
    relevant = read_sample("en", "test").relevant
    retrieved, scores = (scores_of(folder, name) for name in (NO_RERANKER, row))
    found = []
    for query, doc in relevant.items():
        places = {each: place for place, each in enumerate(retrieved.get(query, {}))}
        kept = {each: score for each, score in scores.get(query, {}).items() if each in places}
        ranked = sorted(kept, key=lambda each: (-kept[each], places[each]))[:DEPTH]
        found.append(1.0 / (ranked.index(doc) + 1) if doc in ranked else 0.0)
    return np.array(found)


def scores_of(folder: Path, row: str) -> dict[str, dict[str, float]]:
    """The run of a row: the scores of documents, by query."""
    scores: dict[str, dict[str, float]] = {}
    for line in read_run(run_of(str(folder / FOLDERS["evaluate"]), row), _fail):
        scores.setdefault(line.query_id, {})[line.doc_id] = line.score
    return scores


def _fail(row: object) -> None:
    raise AssertionError(row)


def shown(mean: Mean | None, sign: str = "") -> str:
    """A mean with its interval."""
    if mean is None or mean.interval is None:
        return ""
    return f"{mean.value:{sign}.4f} ({mean.interval[0]:{sign}.4f} to {mean.interval[1]:{sign}.4f})"


def rows_of(ranks: dict[str, NDArray[np.float64]], took: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The table: BM25, the encoder, and the reranker of each seed and of all."""
    rows = []
    for name, ranks_Q in ranks.items():
        is_trained = name not in (NO_RERANKER, ENCODER)
        rows.append(
            {
                "": name,
                "MRR@10": shown(mean_of(ranks_Q)),
                "less BM25": shown(paired_difference(ranks_Q, ranks[NO_RERANKER]), "+") if name != NO_RERANKER else "",
                "less the encoder": shown(paired_difference(ranks_Q, ranks[ENCODER]), "+") if is_trained else "",
                "training, s": f"{took[name]['train_seconds']:.0f}" if name in took else "",
            }
        )
    return rows


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--output", help="folder that keeps what was done, to go on with; default a temporary one")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(given.output or temporary)
        of_seed: dict[str, NDArray[np.float64]] = {}
        took = {}
        for seed in given.seeds:
            name, folder = f"seed {seed}", work / f"seed-{seed}"
            took[name] = run_seed(seed, folder, work / "shared")
            of_seed[name] = reciprocal_ranks(folder, TUNED)
            print(f"{name}: {MAIN} {of_seed[name].mean():.4f}, {took[name]}", file=sys.stderr, flush=True)
        last = work / f"seed-{given.seeds[-1]}"
        ranks = {row: reciprocal_ranks(last, row) for row in (NO_RERANKER, ENCODER)} | of_seed
        ranks["all seeds"] = np.mean(list(of_seed.values()), axis=0)
    rows = rows_of(ranks, took)
    above = sum(bool(ranks_Q.mean() > ranks[NO_RERANKER].mean()) for ranks_Q in of_seed.values())
    for key, value in machine().items():
        print(f"{key:22} {value}")
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")
    print(f"\nabove BM25 in {above} of {len(of_seed)} seeds")
    print(json.dumps({"benchmark": "demo_seeds", "above_bm25": above, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
