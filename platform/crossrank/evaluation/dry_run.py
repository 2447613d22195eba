"""Dry run of an evaluation: the candidates are found, and the speed of every model is measured on a few."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from typing import Any

from crossrank import storage
from crossrank.evaluation.candidates import say_candidates, write_candidates
from crossrank.evaluation.question_csv import beir_of
from crossrank.evaluation.rows import rerank_with
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.records import Rejected
from crossrank.scoring.spec import ScorerSpec
from crossrank.storage.node_cache import writable_cache
from crossrank.telemetry.progress import say


def dry_run(settings: EvaluateSettings, specs: dict[str, ScorerSpec]) -> dict[str, Any]:
    """The plan of each model's rerank job, by name; writes nothing into the output.

    Candidates of a dense first stage are counted as those of BM25: which documents they are does not change how many
    there are.
    """
    parent = storage.cache_folder() / "dry-run"
    aside = Counter[str]()

    def reject(row: Rejected) -> None:
        aside[str(row.reason)] += 1

    with writable_cache(parent):
        folder = tempfile.TemporaryDirectory(dir=parent)
    with folder as scratch:
        if settings.eval_csv is not None:
            beir_of(storage.absolute(settings.eval_csv), f"{scratch}/csv", reject)
            settings = replace(
                settings, eval_csv=None, queries=f"{scratch}/csv", corpus=f"{scratch}/csv", qrels=f"{scratch}/csv"
            )
        if settings.is_dense:
            settings = replace(settings, candidates="bm25", encoder=None, query_prompt=None, passage_prompt=None)
        written = write_candidates(settings, f"{scratch}/groups.parquet", reject)
        say_candidates(settings, written, len(specs))
        plans = {}
        for name, spec in specs.items():
            say(f"{name}:")
            plans[name] = rerank_with(settings, name, spec, written, scratch)
    return {"set_aside": dict(aside), "models": plans}
