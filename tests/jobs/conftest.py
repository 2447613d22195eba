"""The local Ray, the inputs and the drivers of tests/ray, for tests that take minutes."""

from tests.ray.conftest import _environment, cluster, drivers, inputs, minilm, tiny_model

__all__ = ["_environment", "cluster", "drivers", "inputs", "minilm", "tiny_model"]
