"""The local Ray, the inputs and the drivers of tests/ray, for tests that take minutes, and a cluster to submit to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.head import Head, started
from tests.ray.conftest import _environment, cluster, drivers, inputs, minilm, tiny_model

__all__ = ["_environment", "cluster", "drivers", "inputs", "minilm", "tiny_model"]


@pytest.fixture(scope="session")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """One cluster for all tests of this folder that submit."""
    with started(tmp_path_factory.mktemp("head") / "head.log") as running:
        yield running
