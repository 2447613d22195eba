"""Sizes of a run, worked out once before it starts and kept for resuming: its steps, and how much is computed at once.

None of them depends on the number of workers: a run that goes on with others goes on with the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from crossrank.derived import Derived
from crossrank.resumable.manifest_shape import Shape, is_count, is_text
from crossrank.training.settings import TrainSettings

CPU_TOKENS = 2048
"""Tokens of a micro-batch on CPU, as for scoring: activations that fit the caches."""
GPU_TOKENS = 32_768
"""Tokens of a micro-batch on GPU, at most."""
GPU_SHARE = 0.5
"""Share of the GPU's memory that activations may take, beside weights, gradients and the optimiser's two moments."""
ACTIVATIONS_PER_LAYER = 34
"""Numbers that a layer keeps of a token for its gradient, in hidden sizes.
Source: Korthikanti et al., arXiv 2205.05198, 4.1."""
LARGE = (24, 1024)
"""Layers and hidden size of a large encoder, assumed where a configuration has other names for them than usual."""
NUM_CHECKPOINTS = 10
"""Checkpoints of a run whose settings name no interval."""
FEW_STEPS = 50
"""Steps below which a run hardly moves a model at the usual rates: a tenth of them is warm-up."""
LEAST_PER_STEP, MOST_EPOCHS = 4, 10
"""Bounds of a longer run that is proposed: fewer groups make a step noise, and more epochs learn them by heart."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a run."""

    num_groups: int
    steps_per_epoch: int
    num_steps: int
    save_steps: int
    eval_steps: int
    budget: Derived[int]
    """Token slots of a micro-batch."""
    precision: Derived[str]
    """Number format of the forward pass."""


SIZES: Shape = {
    **dict.fromkeys(("num_groups", "steps_per_epoch", "num_steps", "save_steps", "eval_steps"), is_count),
    "budget": {"value": is_count, "why": is_text},
    "precision": {"value": is_text, "why": is_text},
}
"""`Sizes` as JSON holds it."""


def sizes_of(settings: TrainSettings, num_groups: int, config: Any, gpu_bytes: int | None) -> Sizes:
    """Work out the sizes of a run.

    Args:
        num_groups: groups that are trained on.
        config: configuration of the model, for the memory that a token takes.
        gpu_bytes: memory of the smallest GPU; None on CPU.
    """
    steps_per_epoch = -(-num_groups // settings.groups_per_step)
    num_steps = steps_per_epoch * settings.num_train_epochs
    save_steps = settings.save_steps or settings.eval_steps or max(1, -(-num_steps // NUM_CHECKPOINTS))
    return Sizes(
        num_groups,
        steps_per_epoch,
        num_steps,
        save_steps,
        settings.eval_steps or save_steps,
        _budget(settings, config, gpu_bytes),
        _precision(settings, gpu_bytes),
    )


def few_steps_warning(settings: TrainSettings, num_groups: int, num_steps: int) -> str | None:
    """A warning that a run is too short to change the base much, with the keys that make it longer; else None."""
    if num_steps >= FEW_STEPS:
        return None
    per_step = settings.groups_per_step
    wanted = max(LEAST_PER_STEP, num_groups * settings.num_train_epochs // FEW_STEPS)
    sets = [f"--set groups_per_step={wanted}"] if wanted < per_step else []
    epochs = min(-(-FEW_STEPS // -(-num_groups // min(wanted, per_step))), MOST_EPOCHS)
    if epochs > settings.num_train_epochs:
        sets.append(f"--set num_train_epochs={epochs}")
    way_out = f"; for more: {' '.join(sets)}" if sets else ""
    return (
        f"{num_groups:,} groups at groups_per_step={per_step} and num_train_epochs={settings.num_train_epochs} are "
        f"{num_steps:,} {'step' if num_steps == 1 else 'steps'} in all, too few to change much{way_out}"
    )


def _budget(settings: TrainSettings, config: Any, gpu_bytes: int | None) -> Derived[int]:
    if settings.micro_batch_tokens is not None:
        return Derived(settings.micro_batch_tokens, "as given")
    if gpu_bytes is None:
        return Derived(max(CPU_TOKENS, settings.max_length), "CPU: activations that fit the caches, at least one group")
    layers = next((config[name] for name in ("num_hidden_layers", "n_layers") if name in config), LARGE[0])
    hidden = next((config[name] for name in ("hidden_size", "dim") if name in config), LARGE[1])
    kept = 2 if settings.gradient_checkpointing else ACTIVATIONS_PER_LAYER
    bytes_per_token = layers * hidden * kept * 4
    tokens = int(gpu_bytes * GPU_SHARE / bytes_per_token)
    chosen = max(settings.max_length, min(tokens, GPU_TOKENS))
    return Derived(chosen, f"GPU of {gpu_bytes / 2**30:.0f} GiB at {bytes_per_token / 2**20:.2f} MiB a token")


def _precision(settings: TrainSettings, gpu_bytes: int | None) -> Derived[str]:
    if settings.precision is not None:
        return Derived(settings.precision, "as given")
    return Derived("fp32", "CPU") if gpu_bytes is None else Derived("bf16", "GPU")
