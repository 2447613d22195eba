"""Our own server as a row, in both dialects and with a key: the figures of the very model that it serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossrank.errors import InputError
from crossrank.evaluation.job import evaluate
from crossrank.evaluation.server_system import ServerSpec
from tests.data.test_evaluate import folder, settings_of
from tests.serving.server import Server

KEY = "0123456789abcdef-key"

__all__ = ["folder"]


@pytest.fixture(scope="module")
def server(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    here = tmp_path_factory.mktemp("server")
    (here / "keys").write_text(f"{KEY}\n")
    server = Server(tiny_model, here / "log", "--model-name", "tiny", "--api-keys", str(here / "keys"))
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


@pytest.mark.timeout(900)  # two Rays, on a machine that does other work
def test_a_server_of_either_dialect_has_the_figures_of_the_model_that_it_serves(
    server: Server, cluster: None, folder: Path, tiny_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSRANK_KEY_TEI", KEY)  # after Ray was started: its workers do not have it
    monkeypatch.setenv("CROSSRANK_KEY_COHERE", KEY)
    models = f"tei={server.url}", f"cohere={server.url}/v2/rerank#tiny", f"folder={tiny_model}"
    found = evaluate(settings_of(folder, *models, timed_queries=2, max_length=512))
    tei, cohere, local = found["rows"][1:]
    assert [row["incomplete"] for row in (tei, cohere, local)] == [0, 0, 0]
    assert [row["scale"] for row in (tei, cohere, local)] == ["logit", "probability", "logit"]
    assert tei["pairs"] == cohere["pairs"] == local["pairs"]
    assert tei["p50_ms"] > 0
    means = found["tables"]["injected"]["means"]
    assert means["tei"] == means["cohere"] == means["folder"]

    def ranked(name: str) -> list[list[str]]:
        lines = (folder / "out" / "runs" / f"{name}.trec").read_text().splitlines()
        return [line.split()[:4] for line in lines]

    assert ranked("tei") == ranked("cohere") == ranked("folder")
    written = "".join(path.read_text(errors="replace") for path in (folder / "out").rglob("*.json"))
    assert KEY not in written
    assert KEY not in json.dumps(found)


def test_a_wrong_key_is_named_before_any_work(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSRANK_KEY", "wrong")
    for url in (server.url, f"{server.url}/v2/rerank#tiny"):
        with pytest.raises(InputError, match=r"answered 401: .*check the URL, and the key in CROSSRANK_KEY"):
            ServerSpec.of("m", url, 60.0).check()
