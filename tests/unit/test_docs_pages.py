"""`docs/cli.md` is what the flags are, and `docs/api.md` what the docstrings are."""

from __future__ import annotations

import re
from pathlib import Path

import crossrank
from docs.pages import api, cli

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "cli.md"


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == cli.page(), "a flag has changed: run make docs, and commit docs/cli.md"


def test_a_flag_stands_with_its_values_its_words_and_its_default() -> None:
    page = cli.page()
    assert "| `--depth INTEGER` | Candidates of a query that are scored. [at least 1] | `100` |" in page
    assert "| `--model TEXT` | Reranker: hub id, folder or s3://. | required |" in page
    assert "| `--normalize none\\|sigmoid\\|softmax` |" in page, "a bare bar would end the cell"
    assert "| `--from groups\\|" in page
    assert "crossrank convert [OPTIONS] IN OUT" in page


def test_a_key_of_a_recipe_stands_with_its_default() -> None:
    assert "| `learning_rate` | Peak learning rate. [above 0] | `2e-05` |" in cli.page()


def test_every_row_has_three_cells_and_every_verb_its_section() -> None:
    page = cli.page()
    sections = dict(re.findall(r"^## (crossrank [a-z ]+)\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL))
    assert {"crossrank rerank", "crossrank memory import", "crossrank convert"} <= sections.keys()
    for name, section in sections.items():
        rows = [line for line in section.splitlines() if line.startswith("|")]
        assert rows, name
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}, name
        assert f"(#{name.replace(' ', '-')})" in page


def test_the_page_of_python_is_up_to_date() -> None:
    assert (DOCS / "api.md").read_text(encoding="utf-8") == api.page(), (
        "a docstring or a setting has changed: run make docs, and commit docs/api.md"
    )


def test_the_page_of_python_has_everything_that_the_package_gives_and_no_more() -> None:
    sections = re.findall(r"^## (\w+)$", api.page(), re.MULTILINE)
    assert set(sections) - {"Errors", "RankedDocument"} == set(crossrank.__all__) - {"__version__", "RankedDocument"}
    assert len(sections) == len(set(sections))


def test_the_page_of_python_tells_a_keyword_a_default_a_refusal_and_what_comes_back() -> None:
    page = api.page()
    assert "    crossrank.mine(output=..., groups=..., corpus=..., ...)\n" in page
    assert "| `groups` | Groups" in page
    assert "| `max_length` | Tokens of query, document and special tokens together. [at least 8] | `512` |" in page
    assert "| `source` | File or folder that is read. | required |" in page
    assert "- `UserError`: an input or a keyword is wrong; the message says how to put it right." in page
    assert "```python\nreranker = Reranker.load(" in page
    assert "``none``" not in page, "double quotes are of docstrings"
