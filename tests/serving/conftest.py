"""One server for all tests of this folder that do not break it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.model.tiny_models import build
from tests.serving.server import Server

KEY = "0123456789abcdef-key"


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tiny random BERT reranker and its tokenizer."""
    return str(build("bert", tmp_path_factory.mktemp("tiny-bert")))


@pytest.fixture(scope="session")
def server(model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("server")
    keys = folder / "keys"
    keys.write_text(f"# of the tests\n{KEY}\n")
    server = Server(model, folder / "server.log", "--model-name", "tiny", "--api-keys", str(keys))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
