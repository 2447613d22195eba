"""The teacher's part of the job: measure it, cut the blocks to its speed, and have the blocks compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.errors import InputError
from crossrank.filtering.blocks import BLOCK_GROUPS, Task, groups_of
from crossrank.filtering.settings import FilterSettings
from crossrank.filtering.teacher_rules import Pair, pairs_of
from crossrank.records import Json, Rejected
from crossrank.resumable.block_size import queries_per_block
from crossrank.scoring.spec import RerankerSpec, ScorerSpec, process_bytes_of
from crossrank.storage.lease import Hold
from crossrank.telemetry.job_metrics import PAIRS, ROWS_DONE
from crossrank.telemetry.progress import Progress, Waiting, say

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

SAMPLE_PAIRS = 256
"""Pairs that are measured, from the first groups."""


def start(settings: FilterSettings, teacher: ScorerSpec) -> Pool:
    """Join or start a cluster, and say how many workers it holds."""
    from crossrank.filtering import on_ray

    on_ray.connect()
    on_ray.refuse_private_disks({"--teacher": settings.teacher, "--output": settings.output})
    pool = on_ray.pool(settings.wanted(), process_bytes_of(teacher))
    say(f"workers: {pool.workers}")
    return pool


def placed(teacher: ScorerSpec, pool: Pool) -> ScorerSpec:
    """The teacher with its device: Ray hides no GPU from a worker that asked for none, and torch would take it."""
    if not isinstance(teacher, RerankerSpec):
        return teacher
    return replace(teacher, device=None if pool.gpus else "cpu")


def measured(settings: FilterSettings, teacher: ScorerSpec, pool: Pool) -> Json:
    """How many groups make a block, by the speed of one worker; kept in the manifest, so that a resumed job has it."""
    num_groups = num_pairs = 0
    with Progress("groups read", None) as progress:
        for group in groups_of(storage.absolute(settings.groups), settings.limit, _ignore):
            num_groups += 1
            num_pairs += 2 * len(group.docs)
            progress.advance(1)
    found = _probed(settings, teacher, pool)
    size = queries_per_block(num_groups, num_pairs, found["pairs_per_second"], pool.most)
    say(f"one worker scores {found['pairs_per_second']:,.0f} pairs/s; groups a block: {size}")
    precision = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}.get(found["scorer"].get("dtype", ""))
    return {"block_groups": min(size.value, BLOCK_GROUPS), "precision": precision, "measured": found}


def compare(
    settings: FilterSettings, teacher: ScorerSpec, task: Task, plan: Json, pool: Pool, done: set[int], hold: Hold
) -> None:
    """Have the teacher compare the blocks that have no part yet."""
    from crossrank.filtering import on_ray

    sizes: list[int] = plan["rows_of_blocks"]
    missing = [number for number in range(len(sizes)) if number not in done]
    first_rows = [sum(sizes[:number]) for number in range(len(sizes))]
    if isinstance(teacher, RerankerSpec):
        teacher = replace(teacher, precision=plan["precision"])
    work = on_ray.TeacherTask(task, teacher, settings.margins(), first_rows, on_ray.environment())
    before = sum(sizes) - sum(sizes[number] for number in missing)
    with Progress("groups compared", sum(sizes), before) as progress:
        progress.advance(0, "workers are starting" if missing else "")
        for figures in on_ray.run_blocks(work, missing, pool, on_ray.TeacherWorker) if missing else ():
            hold.check()
            progress.advance(figures["queries"])
            ROWS_DONE.add(figures["queries"])
            PAIRS.add(figures["pairs"])


def dry_run(settings: FilterSettings, teacher: ScorerSpec, num_pairs: int) -> dict[str, Any]:
    """What the teacher will take, measured on the first groups."""
    pool = start(settings, teacher)
    found = _probed(settings, placed(teacher, pool), pool)
    return {
        "pairs": num_pairs,
        "tokens": int(num_pairs * found["tokens_per_pair"]),
        "workers": pool.most,
        "pairs_per_second_of_a_worker": round(found["pairs_per_second"], 1),
        "hours_of_the_teacher": round(num_pairs / found["pairs_per_second"] / pool.most / 3600, 4),
    }


def _probed(settings: FilterSettings, teacher: ScorerSpec, pool: Pool) -> Json:
    from crossrank.filtering import on_ray

    pairs = list(islice(_pairs(settings), SAMPLE_PAIRS))
    if not pairs:
        raise InputError(
            f"{settings.groups} has no document that was translated and is not flagged, so a teacher has nothing to "
            f"compare; leave --teacher out"
        )
    with Waiting("loading and measuring the teacher"):
        return on_ray.probed(on_ray.probe(teacher, pairs, pool))


def _pairs(settings: FilterSettings) -> Iterator[Pair]:
    judge = settings.judge()
    for group in groups_of(storage.absolute(settings.groups), settings.limit, _ignore):
        yield from pairs_of(judge.judged(group))


def _ignore(row: Rejected) -> None:
    """What is no group is set aside by who judges."""
