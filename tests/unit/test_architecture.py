"""`docs/architecture.md` held to the code: floors, circles, the files that it names, and the flags that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import click
import pytest

from crossrank.cli.main import crossrank

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "platform" / "crossrank"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FROZEN = Path(__file__).with_name("flags.txt")

Modules = dict[str, Path]


@cache
def modules() -> Modules:
    """Every file of the package by its name in an import."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each file imports of the package, wherever in it: a lazy import is one too."""
    return {name: _imports_of(path) - {name} for name, path in modules().items()}


def _imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "crossrank":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules() else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules()}
    return found


def circle_in(edges: dict[str, set[str]]) -> list[str] | None:
    """Names that lead from one to the next and back to the first; None where there are none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str] | None:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return None
        for other in sorted(edges.get(name, ())):
            if circle := walk(other, [*path, name]):
                return circle
        done.add(name)
        return None

    return next((circle for name in sorted(edges) if (circle := walk(name, []))), None)


def folder_of(module: str) -> str:
    """The folder at the top of the package that a file lies in, or the file itself."""
    return module.split(".")[1] if "." in module else "__init__"


def floors() -> dict[str, int]:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    return {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}


def test_a_circle_is_seen_wherever_it_begins() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_no_files_import_each_other_not_even_lazily() -> None:
    assert circle_in(imports()) is None


def test_every_folder_and_file_at_the_top_has_its_floor() -> None:
    assert set(floors()) == {folder_of(module) for module in modules()}


def test_imports_go_down_the_floors() -> None:
    floor = floors()
    up = [
        f"{module} (floor {floor[folder_of(module)]}) imports {other} (floor {floor[folder_of(other)]})"
        for module, others in imports().items()
        for other in sorted(others)
        if folder_of(module) != folder_of(other) and floor[folder_of(module)] <= floor[folder_of(other)]
    ]
    assert up == [], "an import that goes up: move what is wanted down, or see docs/architecture.md"


def test_nine_files_at_most_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 9


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:platform|tests|docs)/[\w./]+)`", PAGE))))
def test_every_file_that_the_page_names_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for module, path in modules().items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def flags() -> list[str]:
    """Every flag and every key of ``--set``, with its verb."""
    found: list[str] = []

    def walk(command: click.Command, path: str) -> None:
        if isinstance(command, click.Group):
            for name in command.commands:
                walk(command.commands[name], f"{path} {name}".strip())
        for each in command.params:
            if isinstance(each, click.Option):
                found.extend(f"{path} {option}" for option in each.opts)
        found.extend(f"{path} --set {key}" for key in getattr(command, "keys", ()))

    walk(crossrank, "")
    return sorted(found)


def test_the_flags_are_those_that_were_agreed() -> None:
    assert flags() == FROZEN.read_text(encoding="utf-8").splitlines(), (
        "a flag came or went. A new one has a user who asked for it, a line in CHANGELOG.md, and a test; one that goes "
        "was announced there a release before. Then write the new list to tests/unit/flags.txt"
    )
