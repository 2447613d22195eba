"""Memory of a process that scores on a CPU, worked out from the headers of a model's files."""

from __future__ import annotations

from math import prod

from crossrank.errors import ModelRefused
from crossrank.scoring.loading import ModelFolder

PROCESS_BYTES = 1_000_000_000
"""Bytes of a worker without its weights: Python, torch and Ray (0.4 GB with MiniLM-L6, measured), and a block."""
BYTES_PER_WEIGHT = 6
"""Bytes of one weight: four in float32, in which every model is loaded, and half as much again while it loads."""


def process_bytes(folder: ModelFolder) -> int:
    """Bytes, about, of a process that scores with this model on a CPU. Refuses weights that cannot be read."""
    from safetensors import SafetensorError, safe_open

    num_weights = 0
    try:
        for path in sorted(folder.path.glob("*.safetensors")):
            with safe_open(path, "numpy") as file:
                num_weights += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelRefused(f"the weights of {folder.name} cannot be read ({error}); fetch it again") from error
    return PROCESS_BYTES + BYTES_PER_WEIGHT * num_weights
