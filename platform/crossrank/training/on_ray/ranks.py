"""A run on Ray. Ray Train starts the ranks, starts them again when one dies, and lends GPUs; the loop is ours.

Checkpoints do not go through Ray Train. They lie in the output, rank 0 writes them, and ranks that start again, as many
as there are by then, take the newest: so a worker that dies and a run that is killed are one case.
"""

from __future__ import annotations

import logging
import os
import pickle
import tempfile
import threading
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from crossrank.cluster.failures import ours
from crossrank.cluster.on_ray.answers import answer_of
from crossrank.cluster.on_ray.deaths import Watch, watching
from crossrank.cluster.pool import Pool
from crossrank.errors import CrossrankError, JobFailed
from crossrank.telemetry import on_ray as telemetry
from crossrank.telemetry.job_context import environment
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.on_ray.validating import RayValidator, Validation
from crossrank.training.rank_run import Ended, Row, TrainTask, run

POLL_S = 0.5
BOARD = ("the board of the training", "checkpoints are kept")
"""Words for an error of the board: what failed, and what the run goes on with."""


@ray.remote(num_cpus=0)
class Board:
    """Board between rank 0, which puts rows and the end of the run on it, and the driver, which reads them."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._ended: bytes | None = None

    def add(self, row: Row) -> bytes | None:
        """Add a row of the history. Returns what ended the run meanwhile, if anything did."""
        self._rows.append(row)
        return self._ended

    def rows(self, since: int) -> list[Row]:
        """The rows from a place on."""
        return self._rows[since:]

    def end(self, ended: bytes) -> None:
        """Take note of the end of the run: a pickled `Ended`, or the error that ended it. The first counts."""
        self._ended = self._ended or ended

    def ended(self) -> bytes | None:
        """The pickled end of the run; None while it goes on."""
        return self._ended


def train_on(
    task: TrainTask, validation: Validation | None, pool: Pool, max_failures: int, on_row: Callable[[Row], None]
) -> Ended:
    """Run the task on the workers of a pool.

    Args:
        max_failures: times that workers may die and be started again.
        on_row: function that is called with each row of the history as it comes; a `CrossrankError` that it raises
            ends the run.

    Raises:
        CrossrankError: what stopped the run; its checkpoints are kept.
    """
    # Beside the driver, or it could be lost with a worker's machine, and the training with it.
    this_node = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board = Board.options(scheduling_strategy=this_node).remote()  # type: ignore[attr-defined]
    given = pickle.dumps((task, validation, pool, board, environment()))
    workers = pool.min_workers if pool.min_workers == pool.max_workers else (pool.min_workers, pool.max_workers)
    logging.getLogger("ray.train").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="crossrank-train-") as storage_path, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = ray.train.torch.TorchTrainer(
            _rank,
            train_loop_config={"given": given},
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers,
                use_gpu=pool.gpus > 0,
                resources_per_worker={"CPU": 1, **({"GPU": pool.gpus} if pool.gpus else {})},
                accelerator_type=pool.accelerator,
            ),
            # A name of its own, or Ray Train would go on with what it knows of an earlier run: the output knows better.
            run_config=ray.train.RunConfig(
                name=f"crossrank-{uuid.uuid4().hex}",
                storage_path=storage_path,
                failure_config=ray.train.FailureConfig(max_failures=max_failures),
            ),
        )
        with watching("checkpoints are kept") as watch, _Listener(board, _watched(on_row, watch)):
            try:
                trainer.fit()
            except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
                if _ask(board.ended) is None:
                    raise ours(error, "training", "checkpoints are kept") from error
    ended = _ask(board.ended)
    if ended is None:
        raise JobFailed("training ended without a result; run the same command again to go on from its last checkpoint")
    result = pickle.loads(ended)
    if isinstance(result, CrossrankError):
        raise result
    finished: Ended = result
    return finished


def _ask(method: Any, *given: Any) -> Any:
    """Call a method of the board and wait for its answer."""
    return answer_of(method.remote(*given), *BOARD)


def _watched(on_row: Callable[[Row], None], watch: Watch) -> Callable[[Row], None]:
    """The function `on_row`, with every row noted as progress by `watch`."""

    def both(row: Row) -> None:
        watch.progressed()
        on_row(row)

    return both


class _Listener:
    """Thread that passes on the rows of the board: the main one waits for Ray Train, which takes its signals."""

    def __init__(self, board: Any, on_row: Callable[[Row], None]) -> None:
        self._board = board
        self._on_row = on_row
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _listen(self) -> None:
        since = 0
        while True:
            is_last = self._stopped.wait(POLL_S)
            rows = _ask(self._board.rows, since)
            since += len(rows)
            try:
                for row in rows:
                    self._on_row(row)
            except CrossrankError as error:
                _ask(self._board.end, pickle.dumps(error))
                return
            if is_last:
                return


def _rank(config: dict[str, Any]) -> None:
    """Run one rank, in a process that Ray Train has put into a process group."""
    import torch

    task, validation, pool, board, variables = pickle.loads(config["given"])
    telemetry.work_for(variables)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    if _ask(board.ended) is not None:
        return  # another rank met an error that would come again
    torch.set_num_threads(pool.threads())
    device = ray.train.torch.get_device() if pool.gpus else torch.device("cpu")
    is_first = ray.train.get_context().get_world_rank() == 0
    validator = None
    if validation is not None:
        checkpoints = Checkpoints(task.output, task.settings.save_total_limit)
        validator = RayValidator(validation, checkpoints, threads=1)
    try:
        ended = run(task, device, validator, _RowSender(board) if is_first else _ignore)
    except CrossrankError as error:
        logging.getLogger(__name__).exception("training stopped")
        _ask(board.end, pickle.dumps(error))
        raise  # else ranks that did not meet it would wait for this one; those that start again look at the board
    if is_first:
        _ask(board.end, pickle.dumps(ended))


class _RowSender:
    """Sender of rows to the board. It raises what ended the run, one row late, so that no row waits for an answer."""

    def __init__(self, board: Any) -> None:
        self._board = board
        self._answer: Any = None

    def __call__(self, row: Row) -> None:
        answer, self._answer = self._answer, self._board.add.remote(row)
        ended = None if answer is None else answer_of(answer, *BOARD)
        if ended is not None:
            raise pickle.loads(ended)


def _ignore(_: Row) -> None:
    """Drop a row: rank 0 alone sends its own."""
