"""Judges blocks in a few processes of this machine: the work is Python alone, so one process a core and no cluster."""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from crossrank.errors import JobFailed
from crossrank.filtering.blocks import Block, JudgeTask, do_block
from crossrank.records import Json

WAITING = 2
"""Blocks read ahead for each process: enough that none is idle, few enough that memory stays flat."""


def do_blocks(task: JudgeTask, blocks: Iterator[Block], processes: int) -> Iterator[Json]:
    """Do the blocks, in any order; yields the figures of each as it is finished.

    A single block is done in this process: to start others takes longer.

    Raises:
        JobFailed: a process was killed, by the lack of memory for one.
    """
    first = list(itertools.islice(blocks, 2))
    if processes == 1 or len(first) < 2:
        for block in itertools.chain(first, blocks):
            yield do_block(task, block)
        return
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _end_with_parent)
    try:
        yield from done_by(pool, task, itertools.chain(first, blocks), WAITING * processes)
    except BrokenProcessPool as error:
        raise JobFailed(
            "a process that judged translations was killed, perhaps for want of memory; finished parts are kept: run "
            "the same command again, with fewer --workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def done_by(pool: Executor, task: JudgeTask, blocks: Iterator[Block], most: int) -> Iterator[Json]:
    """Yield the figures of blocks as a pool does them; at most `most` blocks are read and not done."""
    waiting: set[Future[Json]] = set()
    for block in blocks:
        waiting.add(pool.submit(do_block, task, block))
        if len(waiting) >= most:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for each in done:
                yield each.result()
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for each in done:
            yield each.result()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, which the queue of a pool would never show."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only in a process of the pool"

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
