"""A small training run without Ray, for tests: groups of the tiny models' texts, and who validates and listens."""

from __future__ import annotations

import json
import random
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from crossrank.derived import Derived
from crossrank.scoring.loading import find_model
from crossrank.training.distributed import World
from crossrank.training.inputs import inputs_of
from crossrank.training.model import TrainedModel
from crossrank.training.rank_run import Ended, Row, TrainTask, loop_of, run
from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import sizes_of
from crossrank.training.validation import Measured
from tests.model.tiny_models import TEXTS

CPU = torch.device("cpu")
NUM_GROUPS = 40


def write_groups(path: Path, num_groups: int = NUM_GROUPS, seed: int = 3, negatives: tuple[int, int] = (2, 6)) -> Path:
    """Ragged groups: a query, a positive and some negatives, texts of mixed lengths drawn from the tiny models' own."""
    draw = random.Random(seed)

    def text(other_than: str = "") -> str:
        drawn = " ".join(draw.sample(TEXTS, draw.randint(1, 4)))
        return drawn if drawn != other_than else text(other_than)

    rows = []
    for number in range(num_groups):
        positive = text()
        docs = [{"doc_id": f"p{number}", "text": positive, "label": 1, "teacher_score": draw.uniform(1, 4)}]
        docs += [
            {"doc_id": f"n{number}-{place}", "text": text(positive), "label": 0, "teacher_score": draw.uniform(-4, 1)}
            for place in range(draw.randint(*negatives))
        ]
        # Each query is another, or those of a held-out file would not be trained on.
        rows.append({"query_id": f"q{number}", "query": f"{draw.choice(TEXTS)} {seed}.{number}", "docs": docs})
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def settings_of(base: Path, groups: Path, output: Path, **more: Any) -> TrainSettings:
    """Small steps, no dropout, an even rate: what a test wants unless it says otherwise."""
    given: dict[str, Any] = {
        "groups_per_step": 8,
        "train_group_size": 4,
        "max_length": 96,
        "learning_rate": 1e-3,
        "dropout": 0.0,
        "micro_batch_tokens": 400,
        "num_train_epochs": 2,
        "save_steps": 4,
        "collapse_patience": 0,
    }
    return TrainSettings(base=str(base), groups=str(groups), output=str(output), **(given | more))


def task_of(settings: TrainSettings) -> TrainTask:
    """As the job makes it."""
    folder = find_model(settings.base)
    inputs = inputs_of(settings)
    sizes = sizes_of(settings, len(inputs.train.open()), {}, None)
    return TrainTask(settings, settings.base, folder.revision, inputs.train, sizes, settings.output)


def losses_of(settings: TrainSettings, num_steps: int) -> list[float]:
    """Losses of the first steps."""
    task = task_of(settings)
    loop = loop_of(task, TrainedModel(settings, find_model(settings.base), CPU), CPU, World())
    found = []
    for step, figures in loop.steps(0):
        found.append(figures.seen.loss)
        if step + 1 == num_steps:
            break
    return found


def longer(task: TrainTask, num_steps: int) -> TrainTask:
    """The same task with so many steps."""
    return replace(task, sizes=replace(task.sizes, num_steps=num_steps))


def with_budget(task: TrainTask, tokens: int) -> TrainTask:
    """The same task with micro-batches of so many tokens."""
    return replace(task, sizes=replace(task.sizes, budget=Derived(tokens, "as the test wants")))


class Killed(BaseException):
    """What a test raises in the middle of a run: nothing catches it, as nothing catches a SIGKILL."""


class Listener:
    """Hears the rows; dies at a step if it is told to."""

    def __init__(self, dies_at: int | None = None) -> None:
        self.rows: list[Row] = []
        self._dies_at = dies_at

    def __call__(self, row: Row) -> None:
        self.rows.append(row)
        if self._dies_at is not None and "loss" in row and row["step"] >= self._dies_at:
            raise Killed


class SaidValidator:
    """Gives the values that the test says, with every score tied at some steps, and notes what it was asked."""

    def __init__(self, values: dict[int, float], tied: Collection[int] = ()) -> None:
        self._values = values
        self._tied = tied
        self.begun: list[int] = []
        self.asked: list[int] = []

    def begin(self, step: int) -> None:
        self.begun.append(step)

    def result(self, step: int) -> Measured:
        self.asked.append(step)
        value = [self._values[step]]
        tie_rate = 1.0 if step in self._tied else 0.0
        return Measured({"mrr@10": value, "ndcg@10": value, "success@3": value}, tie_rate)


def run_to_end(settings: TrainSettings, **more: Any) -> Ended:
    """The whole run, by itself."""
    return run(task_of(settings), CPU, more.get("validator"), more.get("tell", Listener()))
