"""crossrank from its wheel, away from any checkout: what README shows works after `pip install`.

The wheel is built from the sdist, and installed without its dependencies beside those that the tests run with.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = sorted(path.stem for path in (ROOT / "jobs" / "recipes").glob("*.yaml"))
RUN = """
import contextlib, io, json, sys
from crossrank.cli.main import main

for words in json.load(sys.stdin):
    said, status = io.StringIO(), 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main(words)
        except SystemExit as ended:
            status = int(ended.code or 0)
    print(json.dumps([status, said.getvalue()]))
"""
"""Commands one after another in one process, which is loaded once."""


def commands() -> list[list[str]]:
    """Every command `crossrank ...` of README, with a folder in place of a bucket that nobody has."""
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ").replace("s3://", "lake/")
    lines = [re.sub(r"\s#.*", "", line) for line in shell.splitlines()]  # a # in a word begins no comment
    words = [shlex.split(line) for line in lines if line.startswith("crossrank ")]
    return [each[1:] for each in words]


class Installed:
    """An environment with the wheel in it."""

    def __init__(self, folder: Path, archives: list[str]) -> None:
        self.python = folder / "env" / "bin" / "python"
        self.archives = archives
        self.empty = folder / "empty"
        self.empty.mkdir()
        dropped = ("PYTHONPATH", "VIRTUAL_ENV", "RAY_ADDRESS", "CROSSRANK_API_KEYS")
        self.env = {name: value for name, value in os.environ.items() if name not in dropped}
        self.env |= {
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_VERBOSITY": "error",
            "HOME": str(folder),
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, *arguments: str, text: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """Python, in an empty folder."""
        command = [str(self.python), *arguments]
        return subprocess.run(
            command, cwd=self.empty, env=self.env | more, input=text, capture_output=True, text=True, check=False
        )

    def crossrank(self, *commands: list[str], **more: str) -> list[tuple[int, str]]:
        """Exit status and what was said of each command."""
        done = self.run("-c", RUN, text=json.dumps(commands), **more)
        assert done.returncode == 0, done.stderr
        return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)

    def run(*module: str, cwd: Path = folder) -> None:
        # Isolated, or pip would take a checkout on the path for what is installed.
        command = [str(folder / "env" / "bin" / "python"), "-I", "-m", *module]
        subprocess.run(command, cwd=cwd, check=True, capture_output=True)

    run("pip", "install", "--disable-pip-version-check", "hatchling")
    run("hatchling", "build", "-d", str(folder / "dist"), "-t", "sdist", cwd=ROOT)
    [sdist] = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [source] = folder.glob("crossrank-*")
    run("hatchling", "build", "-d", str(folder / "dist"), "-t", "wheel", cwd=source)
    [wheel] = (folder / "dist").glob("*.whl")
    run("pip", "install", "--disable-pip-version-check", "--no-deps", str(wheel))
    # A path in a .pth file is put on the path as it is: the checkout that is installed there in place is not.
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "env")}))
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(folder, [sdist.name, wheel.name])


def test_the_package_is_that_of_the_wheel_and_has_its_version_and_its_data(installed: Installed) -> None:
    code = """
import crossrank, importlib.metadata, json
from crossrank import provenance
from crossrank.demo.run import RECIPE
from crossrank.demo.sample import FOLDER
from crossrank.evaluation.page import TEMPLATE
there = [RECIPE.exists(), (FOLDER / "ko-en.tsv").exists(), TEMPLATE.exists()]
print(json.dumps([crossrank.__file__, importlib.metadata.version("crossrank"), there]))
"""
    done = installed.run("-c", code)
    assert done.returncode == 0, done.stderr
    file, version, there = json.loads(done.stdout)
    assert Path(file).is_relative_to(installed.python.parents[1])
    assert installed.archives == [f"crossrank-{version}.tar.gz", f"crossrank-{version}-py3-none-any.whl"]
    assert there == [True, True, True]
    program = installed.python.with_name("crossrank")
    told = subprocess.run([program, "--version"], cwd=installed.empty, capture_output=True, text=True, check=True)
    assert told.stdout == f"crossrank, version {version}\n"


def test_the_recipes_are_those_of_the_checkout(installed: Installed) -> None:
    code = "import json; from crossrank.config.shipped_recipes import *\n"
    code += "print(json.dumps({name: open(configuration_file(name)).read() for name in recipe_names()}))"
    found = json.loads(installed.run("-c", code).stdout)
    assert found == {name: (ROOT / "jobs" / "recipes" / f"{name}.yaml").read_text() for name in RECIPES}


@pytest.mark.timeout(600)
def test_every_command_of_readme_asks_for_nothing_but_what_it_names(installed: Installed) -> None:
    """None has its model, its data or its cluster; what it says is about one of those, and never about crossrank."""
    address = "http://127.0.0.1:9"
    told = installed.crossrank(*commands(), RAY_API_SERVER_ADDRESS=address)
    assert len(told) == len(commands()) > 15
    from_recipe = ["data/msmarco-triplets.jsonl.gz"]
    for words, (status, said) in zip(commands(), told, strict=True):
        values = [word.partition("=")[2] or word for word in words if not word.startswith("-")]
        named = [value for value in values[1:] if len(value) > 3] + (from_recipe if words[0] == "recipe" else [address])
        assert status == 2, (words, said)
        assert said.count("\n") <= 3, (words, said)
        assert any(value in said for value in named), (words, said)
        assert "Traceback" not in said
        assert "jobs/" not in said


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "msmarco_to_korean"])
def test_a_recipe_is_found_by_its_name(installed: Installed, name: str) -> None:
    [(status, said)] = installed.crossrank(
        ["train", "--config", name, "--base", "no-model", "--groups", "no-groups.jsonl", "--output", "out", "--dry-run"]
    )
    assert status == 2
    assert "no-groups.jsonl" in said or "no-model" in said or "held-out" in said, said


def test_a_name_that_is_not_known_is_answered_with_the_nearest(installed: Installed) -> None:
    for words in (["train", "--config", "small_machin"], ["recipe", "msmarco_to_corean"]):
        [(status, said)] = installed.crossrank(words)
        assert status == 2
        assert f"(recipes: {', '.join(RECIPES)})" in said
    assert "write msmarco_to_korean" in said


def test_a_model_scores_and_files_are_converted(installed: Installed, tmp_path: Path) -> None:
    from tests.model.tiny_models import build

    model = build("bert", tmp_path / "model")
    (installed.empty / "pairs.jsonl").write_text('{"query": "how long?", "document": "4 hours"}\n')
    (installed.empty / "train.jsonl").write_text('{"query": "q", "pos": ["a"], "neg": ["b", "c"]}\n')
    told = installed.crossrank(
        ["score", "--model", str(model), "--input", "pairs.jsonl", "--output", "scored.jsonl"],
        ["convert", "--from", "flagembedding", "--to", "groups", "train.jsonl", "groups.parquet"],
    )
    assert [status for status, _ in told] == [0, 0], told
    scored: dict[str, Any] = json.loads((installed.empty / "scored.jsonl").read_text())
    assert isinstance(scored["score"], float)
    assert (installed.empty / "groups.parquet").exists()
