"""The guides: one in two languages, whose commands are commands; and no link of any page leads nowhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from crossrank.cli import main

ROOT = Path(__file__).parents[2]
GUIDES = {name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("guide.md", "guide.ko.md")}
ENGLISH, KOREAN = GUIDES.values()


def blocks_of(text: str) -> list[tuple[str, str]]:
    """Fenced blocks, each with its language."""
    return re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def prose_of(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def slug(heading: str) -> str:
    """What GitHub makes of a heading, for a link to it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_both_guides_have_the_same_headings_at_the_same_depths() -> None:
    depths = [[len(signs) for signs in re.findall(r"^(#+) ", prose_of(text), re.MULTILINE)] for text in GUIDES.values()]
    assert depths[0] == depths[1]
    assert len(depths[0]) > 15


def test_both_guides_have_the_same_commands() -> None:
    assert blocks_of(ENGLISH) == blocks_of(KOREAN)
    assert {language for language, _ in blocks_of(ENGLISH)} == {"sh", "python"}, "the only ones that are run"


def test_both_guides_have_as_many_points_tables_and_links_in_every_section() -> None:
    def outline(text: str) -> list[tuple[int, int, int]]:
        sections = re.split(r"^#+ ", prose_of(text), flags=re.MULTILINE)
        return [(each.count("\n- "), each.count("\n|"), each.count("](")) for each in sections]

    assert outline(ENGLISH) == outline(KOREAN)


def test_both_guides_name_the_same_flags_models_and_files_in_every_section() -> None:
    def named(text: str) -> list[set[str]]:
        sections = re.split(r"^#+ ", prose_of(text), flags=re.MULTILINE)
        return [set(re.findall(r"`([^`]+)`", each)) for each in sections]

    assert named(ENGLISH) == named(KOREAN)


def test_both_guides_have_the_same_figures_in_every_table() -> None:
    def figures(text: str) -> list[str]:
        return re.findall(
            r"[0-9.]+", "".join(re.findall(r"^\|.*\|$", text, re.MULTILINE)).replace("1억 4,900만", "149")
        )

    assert figures(ENGLISH) == figures(KOREAN)


def test_the_korean_guide_is_korean() -> None:
    def share_of_hangul(text: str) -> float:
        # Without code, and without where links lead and what they are called.
        letters = [sign for sign in re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)", "", text) if sign.isalpha()]
        return sum("가" <= sign <= "힣" for sign in letters) / len(letters)

    paragraphs = [part for part in prose_of(KOREAN).split("\n\n") if len(part) > 60 and not part.startswith("|")]
    assert share_of_hangul("\n".join(paragraphs)) > 0.7
    # One names four libraries in its first sentence.
    assert [part for part in paragraphs if share_of_hangul(part) < 0.4] == []


@pytest.mark.parametrize(
    "page", ["README.md", "docs/guide.md", "docs/guide.ko.md", "docs/cli.md", "examples/README.md"]
)
def test_every_link_leads_somewhere(page: str) -> None:
    here = ROOT / page
    for target in re.findall(r"\]\(([^)]+)\)", prose_of(here.read_text(encoding="utf-8"))):
        path, _, anchor = target.partition("#")
        file = (here.parent / path).resolve() if path else here
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(slug, headings), target


def test_every_flag_of_the_guide_is_a_flag() -> None:
    shell = "\n".join(block for language, block in blocks_of(ENGLISH) if language == "sh").replace("\\\n", " ")
    lines = [line for line in shell.splitlines() if line.startswith("crossrank ")]
    assert len(lines) > 15
    for words in map(shlex.split, lines):
        verb = main.crossrank.commands[words[1]]
        if isinstance(verb, click.Group):
            verb = verb.commands[words[2]]
        known = {name for option in verb.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


def test_the_readme_opens_with_a_measured_figure_and_a_picture_of_a_report() -> None:
    opening = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## ")[0]
    [result] = re.findall(r"\]\((benchmarks/results/[^)]+)\)", opening)
    measured = (ROOT / result).read_text(encoding="utf-8")
    for told in ("209.8", "135.6", "144.0", "1.5e-6"):  # rounded in the sentence
        assert told in measured
        rounded = told if "e" in told else f"{float(told):.0f}"
        assert rounded in re.split(r"[\s,]+|\.\s", opening), told
    [picture] = re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", opening)
    content = (ROOT / picture).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert 20_000 < len(content) < 200 * 1024
