"""The ranks that train together, and what they send to each other."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

BUCKET_ELEMENTS = 1 << 24
"""Numbers in one sum over ranks: 64 MiB of float32."""


class World:
    """The process group and this process's rank in it; a process without a group is rank 0 of 1."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.rank = dist.get_rank() if together else 0
        self.num_ranks = dist.get_world_size() if together else 1

    def sum(self, values: Tensor) -> None:
        """Replace `values` by their sum over all ranks, on every rank."""
        if self.num_ranks > 1:
            for bucket in values.split(BUCKET_ELEMENTS):
                dist.all_reduce(bucket)

    def broadcast(self, value: Any) -> Any:
        """Send the value of rank 0 to every rank; returns it on each of them."""
        if self.num_ranks == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]


class Gradients:
    """The gradients of a model as one flat buffer: summed over ranks once a step, whatever each rank computed.

    A parameter that no micro-batch of this rank touched has zeros there, so ranks may hold unequal counts.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self._parameters = parameters
        self._flat = torch.zeros(
            sum(parameter.numel() for parameter in parameters), dtype=torch.float32, device=parameters[0].device
        )
        start = 0
        for parameter in parameters:
            parameter.grad = self._flat[start : start + parameter.numel()].view_as(parameter)
            start += parameter.numel()

    def clear(self) -> None:
        """Set all gradients to 0, at the beginning of a step."""
        self._flat.zero_()

    def sum(self, world: World) -> None:
        """Sum the gradients of all micro-batches over all ranks."""
        world.sum(self._flat)

    def norm(self) -> Tensor:
        """Euclidean length of the whole gradient."""
        return torch.linalg.vector_norm(self._flat)

    def shorten(self, norm: float, limit: float) -> None:
        """Scale a gradient of length `norm` down to `limit`, where it is longer."""
        if norm > limit:
            self._flat.mul_(limit / (norm + 1e-6))  # as torch's clip_grad_norm_ has it
