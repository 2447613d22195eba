"""The whole run of one rank: from the newest checkpoint, or the base, to the last step, with checkpoints, validations.

It knows nothing of Ray: the validator and the function that takes the rows are given to it, so that it runs in a test
as it runs on a cluster.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from safetensors import safe_open

from crossrank.errors import CrossrankError
from crossrank.scoring.loading import find_model
from crossrank.telemetry.progress import say
from crossrank.training.best_checkpoint import BASE, NONE_RANKS, Best, Validated, best_of
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.distributed import World
from crossrank.training.groups import GroupSource
from crossrank.training.guards import Guards, TrainingStopped
from crossrank.training.loop import Loop, StepFigures
from crossrank.training.model import TrainedModel, is_headless
from crossrank.training.optimizer import optimizer_of, rates_of, restore
from crossrank.training.sampler import Sampler
from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import Sizes
from crossrank.training.steps import Batcher
from crossrank.training.validation import Measured

STATE = "training.pt"
HISTORY = "history.json"
HISTORY_ROWS = 1000
"""Rows of training in the history of a run, at most; those that a checkpoint cuts short come on top."""

Row = dict[str, Any]
"""A row of the history: the figures of some steps, or the result of a validation."""
Result = TypeVar("Result")


class Validator(Protocol):
    """Validator of checkpoints on the held-out groups, in another process; rank 0 alone uses it."""

    def begin(self, step: int) -> None:
        """Start the validation of the checkpoint of a step, which is in its place by now."""

    def result(self, step: int) -> Measured:
        """The measures of the checkpoint of a step; waits for them, and begins where nobody did."""


@dataclass(frozen=True, slots=True)
class TrainTask:
    """All that a rank needs to know, small enough to be sent to every rank."""

    settings: TrainSettings
    base: str
    """Place of the base, as a worker finds it: an absolute path, hub id or s3://."""
    revision: str
    """Revision of the base."""
    groups: GroupSource
    sizes: Sizes
    output: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Outcome of a run."""

    steps: int
    """Steps that are done."""
    chosen: int
    """Step whose checkpoint is the result; `BASE` is the base as it was."""
    skipped: int
    """Steps whose gradients were no numbers."""
    why: str
    """Reason for the end: ``finished`` or ``early_stopping``."""
    history: list[Row]
    """Rows of the whole run; rank 0 alone has them all."""


def run(
    task: TrainTask,
    device: torch.device,
    validator: Validator | None,
    on_row: Callable[[Row], None],
) -> Ended:
    """Train to the end. Every rank calls it; all return the same, but rank 0 alone has the whole history.

    Args:
        validator: validator, which rank 0 uses; None where there is nothing to validate on.
        on_row: function that rank 0 calls with the step it begins at, as ``{"began": step}``, and with every row of the
            history.

    Raises:
        TrainingStopped: a guard stopped it; checkpoints up to then are kept.
        OutputError: a checkpoint cannot be written; earlier ones are intact.
    """
    world = World()
    rank = _Rank(task, device, world, validator, on_row)
    return rank.to_the_end()


def loop_of(task: TrainTask, model: TrainedModel, device: torch.device, world: World) -> Loop:
    """The loop over the groups of a task, before any step."""
    settings, sizes = task.settings, task.sizes
    rates = rates_of(model.model, model.fresh, settings.learning_rate, settings.head_learning_rate)
    optimizer = optimizer_of(model.model, rates, settings.weight_decay)
    groups = task.groups.open()
    batcher = Batcher(
        groups,
        model.encoder,
        Sampler(len(groups), settings.groups_per_step, settings.seed),
        settings.train_group_size,
        sizes.budget.value,
        model.forward.cost,
        stretches=settings.micro_batch_tokens is None,
    )
    return Loop(settings, model.forward, optimizer, batcher, world, device, sizes.precision.value, sizes.num_steps)


class _Rank:
    """The parts of a run on one rank."""

    def __init__(
        self,
        task: TrainTask,
        device: torch.device,
        world: World,
        validator: Validator | None,
        on_row: Callable[[Row], None],
    ) -> None:
        settings = task.settings
        self._task = task
        self._world = world
        self._validator = validator
        self._validates = validator is not None
        self._on_row = on_row
        self._checkpoints = Checkpoints(task.output, settings.save_total_limit)
        self._model = TrainedModel(settings, find_model(task.base), device)
        self._loop = loop_of(task, self._model, device, world)
        self._guards = Guards(settings.collapse_patience, settings.max_skipped_steps, settings.needs_teacher)
        self._history: list[Row] = []
        self._open = _OpenRow()
        self._steps_per_row = -(-task.sizes.num_steps // HISTORY_ROWS)

    def to_the_end(self) -> Ended:
        start = self._restore()
        done = start
        if self._world.rank == 0:
            self._on_row({"began": start})
        stops = self._together(lambda: self._resume_validation(start))
        for step, figures in self._loop.steps(start) if not stops else ():
            done = step + 1
            self._guards.see(figures.seen)
            self._note(figures)
            if done % self._task.sizes.save_steps == 0 or done == self._task.sizes.num_steps:
                self._close_row()
                stops = self._together(lambda: self._at_checkpoint(done))  # noqa: B023 - called at once
            if stops:
                break
        self._close_row()
        chosen = self._together(lambda: self._chosen(done))
        return Ended(done, chosen, self._guards.skipped, "early_stopping" if stops else "finished", self._history)

    def _together(self, act: Callable[[], Result]) -> Result:
        """Call `act` on rank 0; its result is returned, and its error raised, on every rank, so that none waits."""
        outcome: Any = None
        if self._world.rank == 0:
            try:
                outcome = (act(), None)
            except CrossrankError as error:
                outcome = (None, error)
        result, failure = self._world.broadcast(outcome)
        if failure is not None:
            raise failure
        value: Result = result
        return value

    def _restore(self) -> int:
        """Load the newest checkpoint that can be read, the same on every rank; returns the steps that are done."""
        newest = self._together(lambda: self._checkpoints.newest_readable(_readable))
        if newest is None:
            return 0
        step, _ = newest
        folder = self._checkpoints.fetch(step)
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
        self._model.restore(folder, state["adapter"])
        self._restore_optimizer(state["optimizer"])
        if state["scaler"]:
            self._loop.scaler.load_state_dict(state["scaler"])
        self._guards.restore(state["guards"])
        self._history = json.loads((folder / HISTORY).read_text())
        for row in self._history:
            if "validation" in row and "tie_rate" not in row:  # earlier versions kept it in the note alone
                note = self._checkpoints.read_note(f"validation-{row['step']}")
                row["tie_rate"] = note["tie_rate"] if note else 0.0
        return step

    def _restore_optimizer(self, state: dict[str, Any]) -> None:
        settings = self._task.settings
        before = self._model.names_before(settings.learning_rate, settings.head_learning_rate)
        let_go = restore(self._loop.optimizer, state, before)
        if let_go and self._world.rank == 0:
            say(
                f"the run began under an earlier version; weights that the loss cannot move, such as {let_go[0]}, "
                f"stay as they are from here on"
            )

    def _at_checkpoint(self, done: int) -> bool:
        """Save a checkpoint, on rank 0; returns whether to stop.

        The validation before this one is awaited first and decides, so that timing decides nothing.
        """
        is_eval = self._is_eval(done)
        if is_eval and self._eval_before(done):
            self._take(self._eval_before(done))
        state = {
            "optimizer": self._loop.optimizer.state_dict(),
            "scaler": self._loop.scaler.state_dict(),
            "guards": self._guards.state(),
            "adapter": self._model.adapter_state(),
        }

        def write(folder: Path) -> None:
            self._model.save(folder)
            torch.save(state, folder / STATE)
            (folder / HISTORY).write_text(json.dumps(self._history))

        def begin() -> None:
            if is_eval and self._validator is not None:
                self._validator.begin(done)

        best = self._best()
        kept = {step for step in (best.step, self._eval_before(done)) if step}
        self._checkpoints.save(done, write, kept, begin)
        return best.patience_is_out

    def _is_eval(self, done: int) -> bool:
        sizes = self._task.sizes
        return self._validates and (done % sizes.eval_steps == 0 or done == sizes.num_steps)

    def _eval_before(self, done: int) -> int:
        """The last step before `done` that is validated; 0 where there is none."""
        if not self._validates:
            return 0
        return (done - 1) // self._task.sizes.eval_steps * self._task.sizes.eval_steps

    def _resume_validation(self, start: int) -> bool:
        """Begin the validation that a kill may have interrupted; returns whether the run had stopped before."""
        last = start if self._is_eval(start) else self._eval_before(start)
        if last and self._validator is not None:
            self._validator.begin(last)
        return self._best().patience_is_out

    def _take(self, step: int) -> None:
        """Wait for a validation and put it into the history, once."""
        assert self._validator is not None, "only where there is something to validate on"
        self._checkpoints.wait()  # it is read where it is sent to, which a slow network reaches after the next steps
        measured = self._validator.result(step)
        row = {"step": step, "validation": measured.means(), "tie_rate": measured.tie_rate}
        if all(other["step"] != step for other in self._history if "validation" in other):
            self._history.append(row)
            self._on_row(row)

    def _best(self) -> Best:
        settings = self._task.settings
        validated = {
            row["step"]: Validated(row["validation"][settings.metric], row["tie_rate"])
            for row in self._history
            if "validation" in row
        }
        return best_of(validated, settings.early_stopping_patience)

    def _chosen(self, done: int) -> int:
        """The step whose checkpoint is the result: the best of those measured, the last where none was measured.

        Where no checkpoint that was measured ranks, the result is the base, as the checkpoint of step 0.

        Raises:
            TrainingStopped: the base has no head, so that it cannot be the result.
        """
        self._checkpoints.wait()
        if self._validator is None:
            return done
        last = done if self._is_eval(done) else self._eval_before(done)
        if not last:
            return done
        self._take(last)
        best = self._best().step
        if best is None:
            self._save_base()
        return best or BASE

    def _save_base(self) -> None:
        task = self._task
        base = find_model(task.base)
        if is_headless(base):
            raise TrainingStopped(
                f"{NONE_RANKS}, and the base {task.settings.base} has no head, so no reranker is left; lower "
                f"learning_rate, or start from another base (the checkpoints are kept in {task.output})"
            )
        untrained = TrainedModel(task.settings, base, torch.device("cpu"))
        self._checkpoints.save(BASE, untrained.save, kept={BASE})
        self._checkpoints.wait()

    def _note(self, figures: StepFigures) -> None:
        self._open.add(figures)
        if self._open.num_steps >= self._steps_per_row:
            self._close_row()

    def _close_row(self) -> None:
        row = self._open.close()
        if row is not None and self._world.rank == 0:
            self._history.append(row)
            self._on_row(row)


class _OpenRow:
    """Steps that will make one row of the history."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._steps: list[StepFigures] = []

    @property
    def num_steps(self) -> int:
        return len(self._steps)

    def add(self, figures: StepFigures) -> None:
        self._steps.append(figures)

    def close(self) -> Row | None:
        """End the row and return it; None where there was no step since the last."""
        steps, seconds = self._steps, time.monotonic() - self._since
        self._steps, self._since = [], time.monotonic()
        if not steps:
            return None
        groups = sum(figures.groups for figures in steps)
        finite = [figures for figures in steps if figures.seen.is_finite]
        total = sum(figures.groups for figures in finite)

        def mean(values: list[float]) -> float | None:
            pairs = zip(values, finite, strict=True)
            return sum(value * figures.groups for value, figures in pairs) / total if total else None

        return {
            "step": steps[-1].seen.step + 1,
            "steps": len(steps),
            "loss": mean([figures.seen.loss for figures in finite]),
            "uniform_loss": mean([figures.seen.guessing for figures in finite]),
            "spread": mean([figures.seen.spread for figures in finite]),
            "learning_rate": steps[-1].learning_rate,
            "grad_norm": mean([figures.grad_norm for figures in finite]),
            "skipped": len(steps) - len(finite),
            "groups_per_second": round(groups / max(seconds, 1e-9), 3),
            "pairs": sum(figures.pairs for figures in steps),
            "tokens": sum(figures.tokens for figures in steps),
            "truncated": sum(figures.truncated for figures in steps),
            "busy_ranks": min(figures.busy_ranks for figures in steps),
            "time": time.time(),
        }


def _readable(folder: Path) -> bool:
    torch.load(folder / STATE, map_location="cpu", weights_only=True, mmap=True)
    json.loads((folder / HISTORY).read_text())
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            weights.keys()
    return True
