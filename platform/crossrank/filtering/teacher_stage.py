"""The stage of the job in which a teacher compares: its speed is measured, blocks are cut by that and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any

from crossrank import storage
from crossrank.errors import InputError
from crossrank.filtering.blocks import BLOCK_GROUPS, JudgeTask, groups_of, read_block, write_part
from crossrank.filtering.settings import FilterSettings
from crossrank.filtering.teacher_rules import Margins, Pair, compared, pairs_of, scores_of
from crossrank.records import Json, Rejected
from crossrank.resumable.block_job import Figures
from crossrank.resumable.block_size import queries_per_block
from crossrank.resumable.blocks import do_blocks
from crossrank.scoring.precision import precision_of
from crossrank.scoring.spec import ScorerSpec
from crossrank.scoring.throughput import measure_scoring
from crossrank.storage.lease import Lease
from crossrank.storage.retries import with_retries
from crossrank.telemetry.job_metrics import PAIRS, ROWS_DONE
from crossrank.telemetry.progress import Progress, Waiting, say

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool

SAMPLE_PAIRS = 256
"""Pairs on which the speed is measured, from the first groups."""


def start(settings: FilterSettings, teacher: ScorerSpec) -> Pool:
    """Join or start a cluster, and say how many workers it holds."""
    from crossrank.resumable import on_ray

    places = {"--teacher": settings.teacher, "--output": settings.output}
    return on_ray.start_workers(settings.wanted(), places, teacher.process_bytes)


def measured(settings: FilterSettings, teacher: ScorerSpec, pool: Pool) -> Json:
    """The number of groups in a block, by the speed of one worker; kept in the manifest for a resumed job."""
    num_groups = num_pairs = 0
    with Progress("groups read", None) as progress:
        for group in groups_of(storage.absolute(settings.groups), settings.limit, _ignore):
            num_groups += 1
            num_pairs += 2 * len(group.docs)
            progress.advance(1)
    found = _measured(settings, teacher, pool)
    size = queries_per_block(num_groups, num_pairs, found["pairs_per_second"], pool.max_workers)
    say(f"one worker scores {found['pairs_per_second']:,.0f} pairs/s; groups a block: {size}")
    precision = precision_of(found["scorer"].get("dtype"))
    return {"block_groups": min(size.value, BLOCK_GROUPS), "precision": precision, "measured": found}


@dataclass(frozen=True, slots=True)
class CompareBlocks:
    """Has the teacher score the groups of a block in both languages, and judge by that; a `BlockJob`."""

    task: JudgeTask
    teacher: ScorerSpec
    margins: Margins
    first_rows: tuple[int, ...]
    """Place in the input of each block's first group."""

    def open(self, threads: int) -> Callable[[int], Figures]:
        """Load the teacher."""
        scorer = self.teacher.load(threads)

        def compare(number: int) -> Figures:
            groups = with_retries(lambda: read_block(self.task.layout, number))
            pairs = [pairs_of(group) for group in groups]
            scores = scores_of(scorer, pairs)
            judged = [compared(group, logits, self.margins) for group, logits in zip(groups, scores, strict=True)]
            with_retries(lambda: write_part(self.task, number, self.first_rows[number], judged))
            return {"groups": len(groups), "pairs": sum(map(len, pairs))}

        return compare


def compare(
    settings: FilterSettings, teacher: ScorerSpec, task: JudgeTask, plan: Json, pool: Pool, done: set[int], lease: Lease
) -> None:
    """Have the teacher compare the blocks that have no part yet."""
    sizes: list[int] = plan["rows_of_blocks"]
    left = {number: size for number, size in enumerate(sizes) if number not in done}
    first_rows = tuple(accumulate(sizes, initial=0))
    job = CompareBlocks(task, teacher.on(pool.device, plan["precision"]), settings.margins(), first_rows)
    do_blocks(job, left, sum(sizes), "groups compared", pool, lease, _count)


def _count(figures: Figures) -> None:
    """Add the figures of a block to the counters of Prometheus."""
    ROWS_DONE.add(figures["groups"])
    PAIRS.add(figures["pairs"])


def dry_run(settings: FilterSettings, teacher: ScorerSpec, num_pairs: int) -> dict[str, Any]:
    """The time that the teacher will take, measured on the first groups."""
    pool = start(settings, teacher)
    found = _measured(settings, teacher, pool)
    return {
        "pairs": num_pairs,
        "tokens": int(num_pairs * found["tokens_per_pair"]),
        "workers": pool.max_workers,
        "pairs_per_second_of_a_worker": round(found["pairs_per_second"], 1),
        "hours_of_the_teacher": round(num_pairs / found["pairs_per_second"] / pool.max_workers / 3600, 4),
    }


def _measured(settings: FilterSettings, teacher: ScorerSpec, pool: Pool) -> Json:
    from crossrank.resumable import on_ray

    pairs = list(islice(_pairs(settings), SAMPLE_PAIRS))
    if not pairs:
        raise InputError(
            f"{settings.groups} has no document that was translated and is not flagged, so a teacher has nothing to "
            f"compare; leave --teacher out"
        )
    with Waiting("loading and measuring the teacher"):
        measuring = on_ray.begin_call(pool, measure_scoring, teacher.on(pool.device), pairs, pool)
        found: Json = on_ray.returned(measuring)
        return found


def _pairs(settings: FilterSettings) -> Iterator[Pair]:
    judge = settings.judge()
    for group in groups_of(storage.absolute(settings.groups), settings.limit, _ignore):
        yield from pairs_of(judge.judged(group))


def _ignore(row: Rejected) -> None:
    """Ignore what is no group: the judging sets it aside."""
