"""One optimiser step, the same for any number of ranks.

A step is cut into micro-batches, the micro-batches are dealt to the ranks, and gradients are summed once. Dropout is
seeded by step and micro-batch, so that it does not depend on the rank either.

Shape letters: P pairs of a micro-batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from crossrank.scoring.precision import choose_dtype, refuse_without_bf16
from crossrank.scoring.runtimes.runtime import TrainableForward
from crossrank.training import losses
from crossrank.training.distributed import Gradients, World
from crossrank.training.guards import Seen, TrainingStopped
from crossrank.training.microbatch_assignment import deal
from crossrank.training.optimizer import set_rate
from crossrank.training.sampler import seed_of
from crossrank.training.schedule import factor
from crossrank.training.settings import TrainSettings
from crossrank.training.steps import Batcher, MicroBatch


@dataclass(frozen=True, slots=True)
class StepFigures:
    """Figures of one step, over all ranks."""

    seen: Seen
    """Figures that the guards look at."""
    learning_rate: float
    grad_norm: float
    """Length of the gradient before it is cut."""
    groups: int
    pairs: int
    tokens: int
    truncated: int
    """Pairs that were cut to the window."""
    busy_ranks: int
    """Ranks that had a micro-batch; the others waited."""


class Loop:
    """The training loop: model, optimiser and everything else that a step changes.

    Args:
        forward: forward pass of the model whose weights `optimizer` changes.
        precision: number format of the forward pass; weights and optimiser are float32 always.

    Raises:
        SettingsError: bf16 on a GPU without it.
    """

    def __init__(
        self,
        settings: TrainSettings,
        forward: TrainableForward,
        optimizer: Any,
        batcher: Batcher,
        world: World,
        device: torch.device,
        precision: str,
        num_steps: int,
    ) -> None:
        if precision == "bf16":
            refuse_without_bf16(device)
        self.num_steps = num_steps
        self.optimizer = optimizer
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        self._settings = settings
        self._objective = settings.objective
        self._forward = forward
        self._batcher = batcher
        self._world = world
        self._device = device
        self._precision = precision
        self._gradients = Gradients([each for group in optimizer.param_groups for each in group["params"]])

    def steps(self, start: int) -> Iterator[tuple[int, StepFigures]]:
        """Train from a step, counted from 0, to the end; yields each step and its figures.

        The micro-batches of the next step are made while one is computed.
        """
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as thread:
            ready = thread.submit(self._batcher.micro_batches, start)
            for step in range(start, self.num_steps):
                batches = ready.result()
                if step + 1 < self.num_steps:
                    ready = thread.submit(self._batcher.micro_batches, step + 1)
                yield step, self._step(step, batches)

    def _step(self, step: int, batches: list[MicroBatch]) -> StepFigures:
        num_groups = sum(len(batch.sizes_S) for batch in batches)
        hands = deal([batch.tokens for batch in batches], self._world.num_ranks)
        self._gradients.clear()
        sums = torch.zeros(3, dtype=torch.float64, device=self._device)
        for number in hands[self._world.rank]:
            sums += self._backward(step, batches[number], num_groups)
        self._gradients.sum(self._world)
        self._world.sum(sums)
        self.scaler.unscale_(self.optimizer)
        norm = float(self._gradients.norm())
        loss, guessing, spread = (value / num_groups for value in sums.tolist())
        rate = set_rate(
            self.optimizer,
            factor(step, self.num_steps, self._settings.warmup_ratio, self._settings.lr_scheduler),
        )
        is_finite = math.isfinite(norm) and math.isfinite(loss)
        if is_finite:
            self._gradients.shorten(norm, self._settings.max_grad_norm)
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return StepFigures(
            Seen(step, loss, guessing, spread, is_finite),
            rate,
            norm,
            num_groups,
            sum(len(batch.ids_P) for batch in batches),
            sum(batch.tokens for batch in batches),
            sum(batch.truncated for batch in batches),
            sum(map(bool, hands)),
        )

    def _backward(self, step: int, batch: MicroBatch, num_groups: int) -> torch.Tensor:
        """Add the gradients of a micro-batch; returns its sums of the loss, the loss of guessing, and the spread."""
        torch.manual_seed(seed_of(self._settings.seed, step, batch.number))
        # Longest first, as the forwards like them; the loss wants them group after group.
        order_P = np.argsort([-len(ids) for ids in batch.ids_P], kind="stable")
        back_P = torch.from_numpy(np.argsort(order_P))
        try:
            with self._autocast():
                logits_P = self._forward.logits([batch.ids_P[p] for p in order_P], batch.first_P[order_P])
            scores_P = logits_P[back_P.to(logits_P.device)]
            labels_P = torch.from_numpy(batch.labels_P).to(self._device)
            teachers_P = self._teachers(batch)
            loss = losses.summed(scores_P, batch.sizes_S, labels_P, teachers_P, self._objective)
            self.scaler.scale(loss / num_groups).backward()
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingStopped(
                f"the GPU's memory does not hold a micro-batch of {batch.tokens} tokens; set micro_batch_tokens below "
                f"that, gradient_checkpointing to true, or lower train_group_size"
            ) from error
        with torch.no_grad():
            guessing = losses.guessing(batch.sizes_S, labels_P, teachers_P, self._objective)
            return torch.stack([loss.detach(), guessing, losses.spread(scores_P, batch.sizes_S)]).double()

    def _teachers(self, batch: MicroBatch) -> torch.Tensor | None:
        if not self._settings.needs_teacher:
            return None
        teachers_P = torch.from_numpy(batch.teachers_P).to(self._device)
        return teachers_P if self._settings.teacher_scale is None else teachers_P * self._settings.teacher_scale

    def _autocast(self) -> AbstractContextManager[Any]:
        dtype = choose_dtype(self._precision, self._device)
        return nullcontext() if dtype == torch.float32 else torch.autocast(self._device.type, dtype)
