"""The drivers of tests/ray, for tests that take minutes."""

from tests.ray.conftest import _environment, drivers

__all__ = ["_environment", "drivers"]
