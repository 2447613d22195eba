"""One local Ray for all tests of this folder that run a job in this process, and what they read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model import real_encoder
from tests.model.tiny_models import build
from tests.ray.driver import Driver
from tests.ray.inputs import Inputs


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set before Ray starts, so that its workers have it too: a cache of our own, no cluster of others, S3 keys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSRANK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        yield


@pytest.fixture(scope="session")
def cluster(_environment: None) -> Iterator[None]:
    """A local Ray, as a job starts it."""
    import ray

    from crossrank.cluster import on_ray

    on_ray.connect()
    yield
    ray.shutdown()


@pytest.fixture
def drivers() -> Iterator[list[Driver]]:
    """Drivers that the test starts go here; what is left of them is killed at its end."""
    started: list[Driver] = []
    yield started
    for driver in started:
        driver.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny random BERT reranker and its tokenizer."""
    return str(build("bert", tmp_path_factory.mktemp("tiny-bert")))


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the embedded encoder, all-MiniLM-L6-v2, under a random head of one logit."""
    return str(real_encoder.build(tmp_path_factory.mktemp("minilm")))


@pytest.fixture
def inputs() -> Inputs:
    return Inputs.made(num_queries=40, depth=8)
