"""How fast one worker trains, measured on a few micro-batches: for `--dry-run`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import ray

from crossrank.cluster.on_ray import environment, options
from crossrank.cluster.on_ray.answers import answer_of
from crossrank.cluster.on_ray.deaths import watching
from crossrank.cluster.pool import Pool
from crossrank.telemetry import on_ray as telemetry
from crossrank.training.rank_run import Task

PROBE_S = 5.0
PROBE_GROUPS = 8
"""Groups of a measured step: enough for a few micro-batches, few enough for a CPU."""
PROBE_STEPS = 2
"""Steps at least, whatever the length of the run: one that sets up kernels and buffers, and one that is timed."""


def measured(task: Task, pool: Pool) -> dict[str, float]:
    """groups_per_second of a worker, pairs_per_group, tokens_per_group and truncated_share of sampled groups."""
    probe = ray.remote(**options(pool), max_calls=1)(_probe)
    with watching("nothing was begun"):
        found: dict[str, float] = answer_of(
            probe.remote(task, pool, environment()), "the measurement", "nothing was begun"
        )
    return found


def _probe(task: Task, pool: Pool, variables: dict[str, str]) -> dict[str, Any]:
    import torch

    from crossrank.scoring.loading import find_model
    from crossrank.training.distributed import World
    from crossrank.training.model import TrainedModel
    from crossrank.training.rank_run import loop_of

    telemetry.work_for(variables)
    torch.set_num_threads(pool.threads())
    settings = replace(task.settings, groups_per_step=min(PROBE_GROUPS, task.settings.groups_per_step))
    sizes = replace(task.sizes, num_steps=max(PROBE_STEPS, task.sizes.num_steps))
    device = torch.device("cuda" if pool.gpus else "cpu")
    model = TrainedModel(settings, find_model(task.base), device)
    loop = loop_of(replace(task, settings=settings, sizes=sizes), model, device, World())
    groups = pairs = tokens = truncated = 0
    began = time.monotonic()
    for step, figures in loop.steps(0):
        if step == 0:
            began = time.monotonic()
            continue
        groups += figures.groups
        pairs += figures.pairs
        tokens += figures.tokens
        truncated += figures.truncated
        if time.monotonic() - began > PROBE_S:
            break
    seconds = time.monotonic() - began
    return {
        "groups_per_second": groups / max(seconds, 1e-9),
        "pairs_per_group": pairs / groups,
        "tokens_per_group": tokens / groups,
        "truncated_share": truncated / pairs,
    }
