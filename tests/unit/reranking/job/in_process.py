"""The whole job with a stand-in for Ray: its inputs, by hand, and what it makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from crossrank.cluster.pool import Pool, Wanted
from crossrank.reranking.block import Corpus, figures_of, rerank_block
from crossrank.reranking.left import made
from crossrank.reranking.settings import RerankSettings
from crossrank.resumable.layout import Layout, read_table, write_table
from tests.unit.stand_ins import OverlapScorer, OverlapSpec

QUERIES = """\
{"_id": "q1", "text": "red cat"}
{"_id": "q2", "text": "blue dog"}
{"_id": "q3", "text": " "}
{"_id": "q1", "text": "again"}
{"_id": "q4", "text": "green bird"}
{"_id": "q5", "text": "cat"}
"""
CORPUS = """\
{"_id": "d1", "text": "a red cat"}
{"_id": "d2", "text": "a blue dog and a red dog"}
{"_id": "d3", "text": "one cat"}
not json
"""
RUN = """\
q1 Q0 d2 1 9 bm25
q1 Q0 d3 2 8 bm25
q1 Q0 d1 3 7 bm25
q2 Q0 d1 1 9 bm25
q2 Q0 d2 2 8 bm25
q5 Q0 d1 1 9 bm25
q5 Q0 d3 2 8 bm25
q9 Q0 d1 1 9 bm25
"""
RESULT = """\
q1 Q0 d1 1 2.0 crossrank
q1 Q0 d2 2 1.0 crossrank
q1 Q0 d3 3 0.99999994 crossrank
q2 Q0 d2 1 2.0 crossrank
q2 Q0 d1 2 0.0 crossrank
q5 Q0 d1 1 1.0 crossrank
q5 Q0 d3 2 0.99999994 crossrank
"""
"""Scores are the number of shared words; equal ones stay in their order of RUN,
and are a step of a float32 apart, or a reader that sorts by score would undo it. q3 is empty, q4 has no candidates."""
NUM_BLOCKS = 5
"""One for each of q1 to q5: with so few queries, 1 % is one at least."""


class Killed(BaseException):
    """As if the process had been killed: nothing that handles errors sees it."""


@dataclass
class InProcess:
    """Stands in for both files that use Ray: the same functions, scoring in this process."""

    kill_after: int | None = None
    """Blocks after which it is killed."""
    leave_out: int | None = None
    """A block that is said to be scored and is not."""
    scored: list[int] = field(default_factory=list)
    num_probes: int = 0

    def connect(self) -> None: ...

    def refuse_private_disks(self, places: dict[str, str | None]) -> None: ...

    def pool(self, wanted: Wanted, worker_bytes: int | None) -> Pool:
        return Pool(1, 2, 0.0, 2, "by the test")

    def probe(self, spec: OverlapSpec, pairs: list[tuple[str, str]], pool: Any) -> dict[str, Any]:
        self.num_probes += 1
        about = OverlapScorer().describe() | {"token_budget": "64 (as many as fit)"}
        return {"pairs_per_second": 50.0, "tokens_per_pair": 6.0, "load_s": 0.0, "scorer": about}

    def probed(self, found: dict[str, Any]) -> dict[str, Any]:
        return found

    def task_of(self, layout: Layout, spec: Any, corpus: Any, keep: Any, again: frozenset[int]) -> Any:
        return SimpleNamespace(layout=layout, scorer=spec.load(1), corpus=corpus, keep=keep, again=again)

    def run_blocks(self, task: Any, numbers: list[int], pool: Any) -> Iterator[dict[str, Any]]:
        corpus = Corpus(task.corpus.open(), None) if task.corpus else None
        for number in numbers:
            if len(self.scored) == self.kill_after:
                raise Killed
            self.scored.append(number)
            before = read_table(task.layout.part(number)) if number in task.again else None
            score = partial(rerank_block, scorer=task.scorer, corpus=corpus, keep=task.keep)
            part, new = made(read_table(task.layout.block(number)), before, score)
            if number != self.leave_out:
                write_table(task.layout.part(number), part)
            told = {"worker": "here:7", "threads": 3, "started": time.time(), "seconds": 0.0}
            yield {"block": number, **figures_of(new), **told}


class NoRay:
    """Stands in for both files that use Ray where it must not be used."""

    def __getattr__(self, name: str) -> NoReturn:
        pytest.fail(f"on_ray.{name} was used")


UseRay = Callable[[Any], Any]

SPEC = OverlapSpec()


def parts(settings: RerankSettings) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(settings.output).glob("part-*")}
