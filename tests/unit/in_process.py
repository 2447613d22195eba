"""A stand-in for the adapter to Ray (`crossrank.resumable.on_ray`): the same functions, working in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from crossrank import storage
from crossrank.cluster.pool import Pool, WorkerRequest
from crossrank.mining.work import BlockSearches
from crossrank.resumable.block_job import BlockJob, Figures
from crossrank.telemetry.progress import say

UseRay = Callable[[Any], Any]
NAMES = {
    "RerankBlocks": "rerank",
    "EncodeShards": "encode",
    "SearchShards": "search",
    "MineBlocks": "mine",
    "CompareBlocks": "compare",
}
"""What is done by each job, in a word."""


class Killed(BaseException):
    """As if the process had been killed: nothing that handles errors sees it."""


@dataclass
class InProcess:
    """Starts nothing, and does blocks one after another in this process."""

    kill_after: int | None = None
    """Blocks after which it is killed."""
    leave_out: int | None = None
    """A block that is said to be done and is not."""
    backwards: bool = False
    """Whether the last block is done first."""
    measured: dict[str, Any] | None = None
    """What calls return; None makes them."""
    done: list[str] = field(default_factory=list)
    """Such as ``search 0 1``: what was done, in order."""
    num_calls: int = 0

    @property
    def scored(self) -> list[int]:
        """Numbers of the blocks that were reranked."""
        return [int(item.split()[1]) for item in self.done if item.startswith("rerank")]

    def start_workers(
        self, wanted: WorkerRequest, places: Mapping[str, str | None], worker_bytes: int | None = None
    ) -> Pool:
        pool = Pool(1, 2, 0.0, 2, "by the test")
        say(f"workers: {pool.workers}")
        return pool

    def begin_call(self, pool: Pool, function: Callable[..., Any], *arguments: Any) -> Any:
        self.num_calls += 1
        return function(*arguments) if self.measured is None else self.measured

    def returned(self, called: Any, what: str = "", kept: str = "") -> Any:
        return called

    def run_blocks(self, job: BlockJob, numbers: Sequence[int], pool: Pool) -> Iterator[Figures]:
        do = job.open(1)
        for number in reversed(numbers) if self.backwards else numbers:
            if len(self.done) == self.kill_after:
                raise Killed
            figures = do(number)
            self.done.append(_name(job, number))
            if number == self.leave_out:
                storage.delete(job.layout.part(number))  # type: ignore[attr-defined]
            yield {"block": number, **figures, "worker": "here:7", "threads": 3, "started": time.time(), "seconds": 0.0}


def _name(job: Any, number: int) -> str:
    searches = getattr(job, "searches", None)
    numbers = searches.slice_and_block(number) if isinstance(searches, BlockSearches) else (number,)
    return " ".join([NAMES[type(job).__name__], *map(str, numbers)])


class NoRay:
    """Stands in where nothing of Ray must be used."""

    def __getattr__(self, name: str) -> NoReturn:
        pytest.fail(f"on_ray.{name} was used")
