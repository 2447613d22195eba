"""What bad input gets on the real command line: one sentence, exit status 2, and never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray.driver import ROOT
from tests.ray.inputs import Inputs


@pytest.fixture
def flags(inputs: Inputs, tiny_model: str, tmp_path: Path) -> dict[str, str]:
    return {**inputs.write(str(tmp_path)), "model": tiny_model, "output": str(tmp_path / "out")}


def refused(flags: dict[str, str]) -> str:
    """The sentence that `crossrank rerank` ends with."""
    command = [sys.executable, "-m", "crossrank", "rerank"]
    for name, value in flags.items():
        command += [f"--{name}", value]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    *log, sentence = done.stderr.splitlines()
    assert all(line.startswith("[") for line in log), done.stderr  # the time of day
    return sentence


def test_a_model_with_two_labels(flags: dict[str, str], tiny_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "two-labels"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("id2label", "label2id"):
        config.pop(name, None)
    (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "no", "1": "yes"}}))
    assert refused(flags | {"model": str(folder)}) == (
        f"crossrank: {folder} has 2 labels, and a reranker has 1 logit; use a model trained as a reranker"
    )


def test_a_folder_that_is_no_model(flags: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    sentence = refused(flags | {"model": str(tmp_path / "empty")})
    assert sentence.startswith(f"crossrank: {tmp_path / 'empty'} ")
    assert "config.json" in sentence


def test_an_output_that_cannot_be_written(flags: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    output = str(tmp_path / "file" / "out")
    sentence = refused(flags | {"output": output})
    assert sentence == f"crossrank: {output} cannot be written (Not a directory); name another --output"
