"""The teacher on Ray: the pool of workers of the rerank job, each block scored in both languages and written."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from typing import Any

from crossrank.cluster.on_ray import connect, environment, pool, refuse_private_disks
from crossrank.cluster.pool import Pool
from crossrank.filtering.blocks import Task, read_block, write_part
from crossrank.filtering.teacher_rules import Margins, compared, pairs_of, scores_of
from crossrank.reranking.on_ray import BlockWorker, Tries, patiently, probe, probed, run_blocks
from crossrank.resumable.layout import Layout
from crossrank.scoring.spec import ScorerSpec

__all__ = [
    "TeacherTask",
    "TeacherWorker",
    "connect",
    "environment",
    "pool",
    "probe",
    "probed",
    "refuse_private_disks",
    "run_blocks",
]


@dataclass(frozen=True, slots=True)
class TeacherTask:
    """All that a worker needs to know."""

    task: Task
    spec: ScorerSpec
    margins: Margins
    first_rows: list[int]
    """Of each block, its place in the input."""
    environment: dict[str, str]

    @property
    def layout(self) -> Layout:
        return self.task.layout


class TeacherWorker(BlockWorker):
    """An actor: loads the teacher at its first call, then compares a block a call."""

    def __init__(self, task: TeacherTask, pool_: Pool, tries_: Tries) -> None:
        super().__init__(task, pool_, tries_)
        self._teacher = task

    def _block(self, number: int) -> dict[str, Any]:
        started = time.time()
        task = self._teacher
        groups = patiently(lambda: read_block(task.layout, number))
        pairs = [pairs_of(group) for group in groups]
        scores = scores_of(self._scorer, pairs)
        judged = [compared(group, logits, task.margins) for group, logits in zip(groups, scores, strict=True)]
        patiently(lambda: write_part(task.task, number, task.first_rows[number], judged))
        return {
            "block": number,
            "queries": len(groups),
            "pairs": sum(map(len, pairs)),
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "threads": self._pool.threads(),
            "started": started,
            "seconds": time.time() - started,
        }
