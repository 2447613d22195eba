"""The level of the scores, fitted in a task of its own when the training is done."""

from __future__ import annotations

from dataclasses import asdict

import ray

from crossrank.cluster.on_ray.answers import answer_of
from crossrank.telemetry import on_ray as telemetry
from crossrank.training.checkpoint import Checkpoints
from crossrank.training.level import Level, fitted
from crossrank.training.on_ray.validating import Validation


def level_on(validation: Validation, checkpoints: Checkpoints, step: int, level: Level, threads: int) -> Level:
    """The level of the checkpoint of a step. It is kept beside the checkpoints, so that it is never fitted twice.

    Args:
        validation: settings of a validation, with the groups that were kept apart for the level.
        level: level to be fitted, with the name of the bias.
    """
    note = f"bias-{step}"
    kept = checkpoints.read_note(note)
    if kept is None:
        assert level.bias is not None, "a head without one is left as it is"
        options = {"num_cpus": 1, "num_gpus": validation.gpus, "max_retries": 3}
        reference = ray.remote(**options)(_fit).remote(validation, checkpoints.uri(step), level.bias, threads)
        kept = asdict(answer_of(reference, "fitting the bias of the head", "checkpoints are kept"))
        checkpoints.write_note(note, kept)
    return Level(**kept)


def _fit(validation: Validation, model: str, bias: str, threads: int) -> Level:
    import torch

    from crossrank.scoring.pair_scorer import PairScorer
    from crossrank.training.validation import CHUNK_GROUPS, by_scorer

    telemetry.work_for(validation.environment)
    torch.set_num_threads(threads)
    device = "cuda" if validation.gpus else "cpu"
    groups = validation.groups.open()
    scorer = PairScorer.load(model, device, max_length=validation.max_length, instruction=validation.instruction)
    score = by_scorer(scorer)
    starts = range(0, len(groups), CHUNK_GROUPS)
    chunks = (score(groups, range(start, min(start + CHUNK_GROUPS, len(groups)))) for start in starts)
    return fitted(groups, (scores_D for chunk in chunks for scores_D in chunk), bias)
