"""Texts, a tiny model and processes that are killed at the end, as in tests/ray."""

from tests.ray.conftest import _environment, drivers, inputs, minilm, tiny_model

__all__ = ["_environment", "drivers", "inputs", "minilm", "tiny_model"]
