"""The plan of a job, with its hours, from the speed that one worker has on a sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from crossrank.corpus.store import TextStore, Usable
from crossrank.mining.inputs import MiningInputs
from crossrank.mining.plan import LARGER_DISK, read_groups
from crossrank.mining.throughput import MiningSample, measure_mining
from crossrank.retrieval.first_stage import language_of
from crossrank.telemetry.progress import Waiting, show_plan

SAMPLE = 32
"""Groups and passages that the speed is measured with."""


def dry_run(inputs: MiningInputs) -> dict[str, Any]:
    """Measure, print the plan and return it. Nothing is written to the output.

    Pairs are those that the teacher scores at least: the judged documents, and as many passages as are wanted.
    """
    from crossrank.resumable import on_ray

    settings = inputs.settings
    with Waiting("reading the inputs"):
        corpus = inputs.open()
        work = read_groups(settings, corpus)
        language = language_of(corpus, settings.language)
    vectors = inputs.vectors(corpus)
    pool = inputs.pool(with_encoder=True, with_teacher=True)
    groups = work.sample(SAMPLE)
    sample = MiningSample([group.query for group in groups], _passages(corpus))
    with Waiting("measuring the first stage and the models"):
        measuring = on_ray.begin_call(pool, measure_mining, inputs.sampled(language.value, pool), sample, pool)
        speed = on_ray.returned(measuring)
    seconds = {"bm25": work.num_groups / speed["bm25_queries"]}
    plan: dict[str, Any] = {"groups": work.num_groups, "passages": len(corpus), "language": str(language)}
    if vectors is not None:
        missing = vectors.missing()
        vectors.refuse_too_large(len(missing), LARGER_DISK)
        to_encode = len(corpus) * len(missing) // max(vectors.num_shards, 1)
        seconds |= {
            "encode": to_encode / speed["passages"],
            "search": work.num_groups * len(corpus) / speed["products"],
        }
        plan |= {"passages_to_encode": to_encode, "vectors_mb": vectors.num_bytes // 10**6}
    if inputs.teacher is not None:
        judged = sum(doc.label is not None for group in groups for doc in group.docs) / len(groups)
        pairs = int(work.num_groups * (judged + settings.negatives))
        seconds["teacher"] = pairs / speed["pairs"]
        plan |= {"pairs": pairs, "tokens": int(pairs * speed.pop("tokens_per_pair"))}
    plan |= {f"{name}_per_second_of_a_worker": round(value, 1) for name, value in speed.items()}
    plan |= {f"hours_{name}": round(value / pool.max_workers / 3600, 4) for name, value in seconds.items()}
    plan |= {"workers": pool.max_workers, "hours": round(sum(seconds.values()) / pool.max_workers / 3600, 4)}
    show_plan(plan)
    return plan


def _passages(corpus: TextStore) -> list[str]:
    """Texts from all over the corpus; at least one wherever a row can be used, or nothing could be timed."""
    rows = np.flatnonzero(corpus.usable(slice(None)) == Usable.YES)
    return corpus.texts(rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE].tolist())
