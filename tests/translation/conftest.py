"""The local Ray and the drivers of tests/ray, for tests that take minutes."""

from tests.ray.conftest import _environment, cluster, drivers

__all__ = ["_environment", "cluster", "drivers"]
