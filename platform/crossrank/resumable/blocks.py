"""The blocks of a job on its workers, with reports of progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from crossrank.resumable.block_job import BlockJob, Figures
from crossrank.storage.lease import Lease
from crossrank.telemetry.job_metrics import ROWS_RESUMED
from crossrank.telemetry.progress import Progress, say

if TYPE_CHECKING:
    from crossrank.cluster.pool import Pool


def do_blocks(
    job: BlockJob,
    left: Mapping[int, int],
    total: int,
    what: str,
    pool: Pool,
    lease: Lease,
    count: Callable[[Figures], str | None],
) -> None:
    """Run the blocks that lack their part, and report progress.

    Args:
        left: numbers of those blocks, each with the rows that it has left.
        total: rows of all blocks.
        what: name of the rows, such as ``queries``.
        lease: lease on the output, checked after every block.
        count: takes the figures of a finished block, and returns a text shown beside the progress, such as a rate.

    Raises:
        CrossrankError: what a worker raised for the user; JobFailed for anything else.
    """
    from crossrank.resumable import on_ray

    if not left:
        return
    with Progress(what, total, total - sum(left.values())) as progress:
        progress.advance(0, "workers are starting")
        for figures in on_ray.run_blocks(job, list(left), pool):
            lease.check()
            progress.advance(left[figures["block"]], count(figures) or "")


def say_resumed(left: Mapping[int, int], total: int, what: str) -> None:
    """Say how many rows earlier runs finished, if any, and count them. Arguments as in `do_blocks`."""
    resumed = total - sum(left.values())
    if resumed:
        say(f"{resumed:,} of {total:,} {what} were done before")
        ROWS_RESUMED.add(resumed)
