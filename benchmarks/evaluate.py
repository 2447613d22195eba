"""`crossrank evaluate`: how long it takes, and how much memory.

    python benchmarks/evaluate.py                          # all three, with shared data beside the repository
    python benchmarks/evaluate.py --parts tokenisers

tokenisers: the rows that BM25 has on KorQuAD, 3,960 questions and 608 paragraphs, by character bigrams and by morphemes
            (kiwipiepy), each a run of its own with an empty cache.
csv:        the 300 rows of KorQuAD as `question,answer,doc_id,doc`, with two models: the embedded encoder by its
            cosine, and the same one under a random head, from start to report.
million:    10,000 queries of 100 documents, each scored by two models: from the files that the rerank jobs leave to the
            report, with three rows and three comparisons, and the peak memory of that (`VmHWM`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import DATA, WORK, machine

PARTS = ("tokenisers", "csv", "million")
NUM_QUERIES, DEPTH, NUM_PASSAGES = 10_000, 100, 50_000
SAYS = """
    import re, resource
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
CHILD = f"""
import json, sys, time
started = time.perf_counter()
def say(results):{SAYS}
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.settings import EvaluateSettings
given = json.loads(sys.argv[1])
say(evaluate(EvaluateSettings(**given | {{"models": tuple(given["models"])}})))
"""
MEASURING = f"""
import json, sys, time
started = time.perf_counter()
def say(results):{SAYS}
from crossrank.evaluation.about import about
from crossrank.evaluation.candidates import WrittenCandidates
from crossrank.evaluation.job import report
from crossrank.evaluation.lists import Lists
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.scoring.spec import RerankerSpec
output = sys.argv[1]
settings = EvaluateSettings(models=("a=A", "b=B"), groups="g", output=output, timed_queries=0)
written = WrittenCandidates(f"{{output}}/_candidates/groups.parquet", None, {NUM_QUERIES}, True, "made", {{}})
specs = {{name: RerankerSpec(name, name) for name in "ab"}}
say(report(settings, specs, {{"a": {{}}, "b": {{}}}}, written, Lists.read(written), output, about(settings, 0)))
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
    """Measured from files as a rerank job of two models leaves them, in a process of its own."""
    output = folder / "million"
    write_million(output)
    command = [sys.executable, "-c", MEASURING, str(output)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {"million": json.loads(done.stdout.splitlines()[-1])}


def write_million(output: Path) -> None:
    """Candidates, one to three of each query judged, and what two models made of them."""
    import numpy as np
    import pyarrow as pa

    from crossrank.evaluation.rows import folder_of
    from crossrank.formats.groups_parquet import DOCUMENT_TYPE, GROUP_SCHEMA
    from crossrank.reranking.layout import RANKED_TYPE, part_schema
    from crossrank.resumable.layout import Layout, write_table

    draw = np.random.default_rng(1)
    pairs = NUM_QUERIES * DEPTH
    labels = np.full((NUM_QUERIES, DEPTH), np.nan)
    for _ in range(2):
        labels[np.arange(NUM_QUERIES), draw.integers(DEPTH, size=NUM_QUERIES)] = draw.choice([0, np.nan], NUM_QUERIES)
    labels[np.arange(NUM_QUERIES), np.minimum(draw.geometric(0.2, NUM_QUERIES) - 1, DEPTH - 1)] = 1.0
    doc_ids = np.char.add("d", draw.integers(NUM_PASSAGES, size=pairs).astype(str))
    ids = [f"q{number}" for number in range(NUM_QUERIES)]
    texts = [f"what is said about {number}" for number in range(NUM_QUERIES)]
    facts = {"retrieved": DEPTH, "elsewhere": {}, "query_characters": 0, "document_characters": 0, "source": "made"}
    metas = [
        json.dumps({"evaluation": facts | {"query_characters": 10 + number % 70, "document_characters": number % 900}})
        for number in range(NUM_QUERIES)
    ]
    ranks = np.tile(np.arange(1, DEPTH + 1, dtype=np.int32), NUM_QUERIES)
    starts = pa.array(np.arange(0, pairs + 1, DEPTH, dtype=np.int32))
    has_no_label = np.isnan(labels.ravel())
    columns = {
        "doc_id": pa.array(doc_ids),
        "text": pa.array(np.char.add("a text of ", doc_ids)),
        "label": pa.array(labels.ravel(), mask=has_no_label),
        "rank": pa.array(ranks),
        "score": pa.array(30.0 - ranks / 10),
    }
    write_table(
        str(output / "_candidates" / "groups.parquet"),
        pa.table(
            {
                "query_id": ids,
                "query": texts,
                "lang": pa.nulls(NUM_QUERIES, pa.string()),
                "split": pa.nulls(NUM_QUERIES, pa.string()),
                "meta": metas,
                "docs": pa.ListArray.from_arrays(starts, _struct(DOCUMENT_TYPE, columns, pairs)),
            },
            schema=GROUP_SCHEMA,
        ),
    )
    for name, gain in (("a", 1.0), ("b", 1.3)):
        scores = draw.normal(size=(NUM_QUERIES, DEPTH)) + np.where(labels == 1, gain * 2, 0.0)
        order = np.argsort(-scores, axis=1, kind="stable")
        flat = (order + np.arange(NUM_QUERIES)[:, None] * DEPTH).ravel()
        ranked = {
            "doc_id": pa.array(doc_ids[flat]),
            "rank": pa.array(ranks),
            "score": pa.array(scores.ravel()[flat].astype(np.float32)),
            "initial_rank": pa.array((order.ravel() + 1).astype(np.int32)),
        }
        part = {
            "row": np.arange(NUM_QUERIES),
            "query_id": ids,
            "query": texts,
            "status": ["ok"] * NUM_QUERIES,
            "reason": pa.nulls(NUM_QUERIES, pa.string()),
            "docs": pa.ListArray.from_arrays(starts, _struct(RANKED_TYPE, ranked, pairs)),
            "stats": pa.nulls(NUM_QUERIES, part_schema(with_text=False).field("stats").type),
        }
        layout = Layout(folder_of(str(output), name))
        write_table(layout.part(0), pa.table(part, schema=part_schema(with_text=False)))


def _struct(kind: Any, columns: dict[str, Any], count: int) -> Any:
    import pyarrow as pa

    fields = [kind.field(place) for place in range(kind.num_fields)]
    arrays = [
        columns[each.name].cast(each.type) if each.name in columns else pa.nulls(count, each.type) for each in fields
    ]
    return pa.StructArray.from_arrays(arrays, fields=fields)


def run(given: dict[str, Any], cache: Path) -> dict[str, Any]:
    """What `crossrank evaluate` with these settings says, in a process of its own."""
    command = [sys.executable, "-c", CHILD, json.dumps(given)]
    environment = os.environ | {"CROSSRANK_CACHE": str(cache)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
