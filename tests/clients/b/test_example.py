"""The example for LangChain, as a program."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "ask_from_langchain.py"


def test_the_example_prints_the_best_two_passages_with_their_scores(url: str, key: str) -> None:
    # The key is where the example looks for it: CROSSRANK_KEY.
    done = subprocess.run([sys.executable, str(EXAMPLE), url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    scores = [float(line.split()[0]) for line in done.stdout.splitlines()]
    assert len(scores) == 2
    assert 1 >= scores[0] >= scores[1] >= 0
