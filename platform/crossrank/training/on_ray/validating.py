"""Validations in tasks of their own, beside the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray

from crossrank.cluster.on_ray.answers import answer_of
from crossrank.telemetry import on_ray as telemetry
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.groups import GroupSource
from crossrank.training.validation import Measured


@dataclass(frozen=True, slots=True)
class Validation:
    """Settings of the validations of a run; it travels to the tasks."""

    groups: GroupSource
    base: str
    """Place of the base, as a worker finds it."""
    max_length: int
    instruction: str | None
    output: str
    gpus: float
    """GPUs of one validation; 0 runs it on CPU."""
    environment: dict[str, str]


class RayValidator:
    """Validator in tasks of their own. Results are kept beside the checkpoints, so that nothing is measured twice."""

    def __init__(self, validation: Validation, checkpoints: Checkpoints, threads: int) -> None:
        self._validation = validation
        self._checkpoints = checkpoints
        self._threads = threads
        self._begun: dict[str, ray.ObjectRef] = {}

    def begin(self, step: int) -> None:
        self.begin_on(str(step), self._checkpoints.uri(step))

    def result(self, step: int) -> Measured:
        return self.result_on(str(step), self._checkpoints.uri(step))

    def begin_on(self, name: str, model: str | None) -> None:
        """Start measuring a model, unless that was done or begun under this name; None is no reranker."""
        if name not in self._begun and self._checkpoints.read_note(_note(name)) is None:
            options = {"num_cpus": 1, "num_gpus": self._validation.gpus, "max_retries": 3}
            self._begun[name] = ray.remote(**options)(_validate).remote(self._validation, model, self._threads)

    def result_on(self, name: str, model: str | None) -> Measured:
        """The measures of a model; waits for them."""
        kept = self._checkpoints.read_note(_note(name))
        if kept is None:
            self.begin_on(name, model)
            kept = answer_of(self._begun.pop(name), f"the validation of {name}", "checkpoints are kept")
            self._checkpoints.write_note(_note(name), kept)
        return Measured.of(kept)


def _note(name: str) -> str:
    return f"validation-{name}"


def _validate(validation: Validation, model: str | None, threads: int) -> dict[str, Any]:
    import torch

    from crossrank.retrieval.encoder import read_as_encoder
    from crossrank.scoring.loading import check_base, find_model
    from crossrank.scoring.pair_scorer import PairScorer
    from crossrank.training.model import is_headless
    from crossrank.training.validation import by_cosine, by_scorer, initial_order, measure

    telemetry.work_for(validation.environment)
    torch.set_num_threads(threads)
    device = "cuda" if validation.gpus else "cpu"
    groups = validation.groups.open()
    if model is None:
        return measure(groups, initial_order).state()
    if model == validation.base and is_headless(folder := find_model(model)):
        spec = read_as_encoder(folder, check_base(folder), max_length=validation.max_length)
        return measure(groups, by_cosine(spec.on(device).load(threads))).state()
    scorer = PairScorer.load(model, device, max_length=validation.max_length, instruction=validation.instruction)
    return measure(groups, by_scorer(scorer)).state()
