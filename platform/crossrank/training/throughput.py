"""Throughput of one worker that trains, measured on a few micro-batches for `--dry-run`."""

from __future__ import annotations

import time
from dataclasses import replace

from crossrank.cluster.pool import Pool
from crossrank.training.rank_run import TrainTask

PROBE_S = 5.0
"""Seconds after which no further step is measured."""
PROBE_GROUPS = 8
"""Groups of a measured step, at most: enough for a few micro-batches, few enough for a CPU."""
PROBE_STEPS = 2
"""Steps that are measured at least, however short the run: one that sets up kernels and buffers, and one timed."""


def measure_training(task: TrainTask, pool: Pool) -> dict[str, float]:
    """Measure groups_per_second of a worker, pairs_per_group, tokens_per_group and truncated_share."""
    import torch

    from crossrank.scoring.loading import find_model
    from crossrank.training.distributed import World
    from crossrank.training.model import TrainedModel
    from crossrank.training.rank_run import loop_of

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
