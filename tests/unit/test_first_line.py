"""The first line of a log says what runs, before anything is loaded that takes seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys

class Heavy:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "ray"):
            print("loads", name, file=sys.stderr, flush=True)
            raise SystemExit(7)

sys.meta_path.insert(0, Heavy())
from crossrank.cli import main
main.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["rerank", "--queries", "in.jsonl", "--corpus", "in.jsonl", "--output", "out"],
        ["score", "--input", "in.jsonl"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_runs_is_said_before_the_model_is_looked_at(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"_id": "1", "text": "a", "query": "q", "document": "d"}\n')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "bert"}')
    command = [sys.executable, "-c", PROGRAM, *arguments, "--model", "model"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 7, done.stderr
    [first, last] = done.stderr.splitlines()
    assert first.split("] ")[1].startswith("crossrank ")
    assert last.startswith("loads ")
