"""The local Ray, texts and models of tests/ray: what a cluster of machines, or a bad S3, is compared with."""

from tests.ray.conftest import _environment, cluster, minilm, tiny_model

__all__ = ["_environment", "cluster", "minilm", "tiny_model"]
