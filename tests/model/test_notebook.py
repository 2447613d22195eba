"""The notebook of the examples runs from its first cell to its last, and is kept without results of a machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from crossrank import Reranker

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOK = json.loads((EXAMPLES / "first_steps.ipynb").read_text(encoding="utf-8"))
CELLS = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_every_cell_runs_after_those_before_it(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, load = tiny("bert"), Reranker.load
    # The model hub cannot be reached in a test; everything else is as written.
    monkeypatch.setattr(Reranker, "load", lambda name: load(str(folder), max_length=128))
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {"__name__": "__main__"}
    said = []
    for cell in CELLS:
        exec("".join(cell["source"]), names)
        said.append(capsys.readouterr().out.splitlines())
    assert all(said), "each cell shows something"
    assert len(said[1]) == 3
    assert said[2] == ["128 passages, 192 questions with the passage that answers"]
    assert len(said[3]) == 1 + 3
    assert re.fullmatch(r"of 12 questions: \d+ before, \d+ after", said[4][0])


def test_the_notebook_is_of_the_current_format_and_holds_no_results() -> None:
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)


def test_the_notebook_of_the_verbs_holds_the_results_of_a_run_and_no_place_of_a_machine() -> None:
    text = (EXAMPLES / "in_python.ipynb").read_text(encoding="utf-8")
    notebook = json.loads(text)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    said = ["".join(line for output in cell["outputs"] for line in output["text"]) for cell in cells]
    assert all(said), "each cell shows something"
    assert "has the key lr, which is not known; write learning_rate" in said[2]
    before, after = (float(line.split(": ")[1]) for line in said[-1].splitlines()[-2:])
    assert after > before, "what a reader sees is better with a model than without"
    assert not re.search(r"/(home|root|tmp|usr|work)/", text)
