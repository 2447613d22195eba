"""Every command of the guide, as it is written and in its order, on one Ray and one server.

The hub is a cache of tiny models under the names of large ones, and Amazon Translate a server on the loopback, which
nobody may ask: the guide says that its memory answers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.data.amazon_server import Asked, amazon_server
from tests.model.tiny_models import build
from tests.serving.server import Server, free_port
from tests.whole.guided import Shell, commands_of

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
SERVED_AT = "localhost:8000"
REVISION = "0123456789abcdef0123456789abcdef01234567"


def lay_into_hub(home: Path, name: str, model: Path) -> None:
    """What is in the cache of a hub after a model was downloaded."""
    folder = home / "hub" / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(REVISION)
    shutil.copytree(model, folder / "snapshots" / REVISION)


def without_head(model: Path, folder: Path) -> Path:
    from transformers import AutoModel, AutoTokenizer

    AutoModel.from_pretrained(model).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with amazon_server(tmp_path_factory.mktemp("amazon") / "asked.jsonl") as server:
        yield server


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, asked: Asked) -> dict[str, str]:
    made = tmp_path_factory.mktemp("models")
    reranker = build("xlm-roberta", made / "reranker")
    home = tmp_path_factory.mktemp("hub")
    lay_into_hub(home, "BAAI/bge-reranker-v2-m3", reranker)
    lay_into_hub(home, "BAAI/bge-m3", without_head(reranker, made / "encoder"))
    unset = {"RAY_ADDRESS", "CROSSRANK_API_KEYS", "CROSSRANK_KEY"}
    return {name: value for name, value in os.environ.items() if name not in unset} | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1",
        "CROSSRANK_CACHE": str(tmp_path_factory.mktemp("cache")),
        "AWS_ENDPOINT_URL_TRANSLATE": asked.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the guide is worked through: what a clone has, and nothing yet of its own."""
    made = tmp_path_factory.mktemp("clone")
    for name in ("platform", "jobs", "examples"):
        (made / name).symlink_to(ROOT / name)
    return made


@pytest.fixture(scope="module")
def shell(folder: Path, environment: dict[str, str]) -> Iterator[Shell]:
    shell = Shell(folder, environment)
    yield shell
    shell.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """The server is put here by the block that starts it, for those after it."""
    started: list[Server] = []
    yield started
    for server in started:
        server.stop()


def served(block: str, servers: list[Server]) -> str:
    """The block with the port that the server really has."""
    return block.replace(SERVED_AT, f"127.0.0.1:{servers[0].port}") if servers else block


def start(command: str, folder: Path, environment: dict[str, str]) -> Server:
    """What the guide's line starts, on a free port."""
    crossrank, verb, *flags = shlex.split(command)
    given = dict(zip(flags[::2], flags[1::2], strict=True))
    assert (crossrank, verb, given.pop("--port")) == ("crossrank", "serve", SERVED_AT.partition(":")[2])
    ports = {f"RAY_SERVE_HAPROXY_{name}_PORT": str(free_port()) for name in ("STATS", "METRICS")}
    model = str(folder / given.pop("--model"))
    more = [part for pair in given.items() for part in pair]
    return Server(model, folder / "server.log", *more, environment=environment | ports)


@pytest.mark.parametrize("number", range(len(BLOCKS)), ids=lambda number: BLOCKS[number][1].splitlines()[0][:60])
@pytest.mark.timeout(600)
def test_a_block_of_the_guide_runs_as_it_is_written(
    number: int, shell: Shell, servers: list[Server], folder: Path, environment: dict[str, str]
) -> None:
    kind, block = BLOCKS[number]
    if block.startswith("crossrank serve"):
        [command] = commands_of(block)
        servers.append(start(command, folder, environment))
        servers[-1].wait_until_ready()
    else:
        print(shell.run(kind, served(block, servers)))


def test_what_the_guide_says_of_its_results_is_so(folder: Path, asked: Asked) -> None:
    assert asked.requests == [], "the memory answers, and nothing is paid"
    ranked = pq.read_table(folder / "ranked").to_pylist()
    assert len(ranked) == 40
    assert all(len(row["docs"]) == 3 and row["docs"][0]["text"] for row in ranked)
    assert len((folder / "ranked.trec").read_text().splitlines()) == 120
    report = json.loads((folder / "report" / "results.json").read_text())
    assert [row["name"] for row in report["rows"]] == ["no reranker", "base", "tuned", "merged"]
    assert (folder / "report" / "report.html").exists()
    assert (folder / "tuned" / "curves.png").exists()
    served = json.loads((folder / "report-served" / "results.json").read_text())
    # The same model, here and behind HTTP.
    means = served["tables"]["retrieved"]["means"]
    assert means["served"] == means["tuned"]
    assert {path.name for path in (folder / "filtered" / "_report").iterdir()}
    assert (folder / "mined" / "_report.json").exists()
    assert (folder / "mined" / "_dropped").exists()
