"""How to cite: `CITATION.cff` says what the package says of itself.

Its schema was checked with cffconvert 2.0.0, which cannot be installed beside what our tests need (jsonschema below 4).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from crossrank import __version__

ROOT = Path(__file__).parents[2]
WANTED = {"cff-version", "message", "title", "authors"}
"""What every file of version 1.2.0 has; a reference has its own three."""


@pytest.fixture(scope="module")
def cited() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    return found


def test_the_citation_is_that_of_this_version(cited: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["title"], cited["license"]) == (project["name"], project["license"])
    assert cited["version"] == __version__.split("+")[0]


def test_the_citation_has_what_its_format_wants(cited: dict[str, Any]) -> None:
    assert cited.keys() >= WANTED
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    for work in (cited, *cited["references"]):
        assert work["authors"]
        assert all(author["name"].strip() for author in work["authors"])
    for reference in cited["references"]:
        assert reference.keys() >= {"type", "title", "authors"}


def test_whose_recipe_it_is_stands_in_the_citation_and_in_the_readme(cited: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for reference in cited["references"]:
        assert reference["title"] in readme
    assert "CITATION.cff" in readme
