"""The local Ray and the drivers of tests/ray, for chains that are run from beginning to end."""

from tests.ray.conftest import _environment, cluster, drivers

__all__ = ["_environment", "cluster", "drivers"]
