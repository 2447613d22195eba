"""The project held to its own rules: where things lie, who may import what, and what has to be said.

The traps behind them are in aesthetics.md, 2.5: a package named like a module of the standard library shadows it.
"""

import ast
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import crossrank
from crossrank import errors

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "platform" / "crossrank"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 400
RAY_FILE = "on_ray"
"""The name of a file, or of a folder, that may import ray."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imported(path: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def those(matches: Callable[[Path], bool]) -> list[str]:
    """Names of the source files for which it holds."""
    return [str(path.relative_to(ROOT)) for path in SOURCES if matches(path)]


def test_stdlib_platform_wins_when_the_root_is_first_on_the_path() -> None:
    command = "import platform, sys; assert sys.path[0] == ''; print(platform.__file__)"
    found = subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=True, capture_output=True, text=True)
    assert Path(found.stdout.strip()).resolve() == Path(sysconfig.get_path("stdlib"), "platform.py").resolve()


def test_platform_is_a_source_folder_with_one_child() -> None:
    tolerated = {"crossrank.egg-info", "__pycache__", ".DS_Store"}
    assert {path.name for path in (ROOT / "platform").iterdir()} - tolerated == {"crossrank"}
    assert "/platform/__init__.py" in (ROOT / ".gitignore").read_text().splitlines()


def test_no_folder_of_tests_is_named_platform() -> None:
    assert list((ROOT / "tests").rglob("platform")) == []


def test_importing_crossrank_and_its_command_line_loads_neither_ray_nor_torch() -> None:
    command = """
import sys
import crossrank
assert crossrank.__version__
before = set(sys.modules)
assert not before & {"ray", "torch", "transformers", "pyarrow"}, "crossrank alone"
import crossrank.cli.main
assert not set(sys.modules) & {"ray", "torch", "transformers"}, "its command line"
from crossrank import convert, evaluate, filter, merge, mine, rerank, score, train, translate
assert train.__doc__
assert not set(sys.modules) & {"ray", "torch", "transformers"}, "its verbs"
from crossrank import RankedDocument, Reranker
assert Reranker.rank.__doc__ and RankedDocument.__doc__
assert not set(sys.modules) & {"ray", "torch", "transformers"}, "its classes"
"""
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ray_is_imported_in_its_own_files_alone() -> None:
    def imports_ray(path: Path) -> bool:
        return "ray" in imported(path)

    assert those(imports_ray), "the test looks where ray is used"
    assert those(lambda path: imports_ray(path) and RAY_FILE not in (path.stem, path.parent.name)) == []


WAITING = {"get", "init", "wait"}
"""What of ray raises the failures of a cluster."""


def waits_for_ray(tree: ast.AST) -> bool:
    """Whether code names what waits for Ray, by whatever name it has imported ray, or that function of it."""
    names = {"ray"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "ray":
            if not WAITING.isdisjoint(alias.name for alias in node.names):
                return True
        elif isinstance(node, ast.Import):
            names |= {alias.asname for alias in node.names if alias.name == "ray" and alias.asname}
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in names
        and node.attr in WAITING
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(
    ("code", "is_seen"),
    [
        ("import ray\nray.get(reference)", True),
        ("import ray\nfetch = ray.get", True),
        ("import ray as cluster\ncluster.wait(references)", True),
        ("from ray import get", True),
        ("from ray import init as start", True),
        ("import ray\nray.put(value)", False),
        ("from ray import data\nsettings.get(name)", False),
    ],
)
def test_waiting_for_ray_is_seen_by_whatever_name_it_is_imported(code: str, is_seen: bool) -> None:
    assert waits_for_ray(ast.parse(code)) is is_seen


def test_ray_is_waited_for_in_one_place_which_turns_its_failures_into_sentences() -> None:
    def waits(path: Path) -> bool:
        return waits_for_ray(tree_of(path))

    here = PACKAGE / "cluster" / "on_ray"
    assert those(lambda path: waits(path) and path.parent == here), "the test sees those that are there"
    assert those(lambda path: waits(path) and path.parent != here) == []


def test_the_package_knows_neither_jobs_nor_serve() -> None:
    assert those(lambda path: not imported(path).isdisjoint({"jobs", "serve", "tests", "benchmarks"})) == []


def test_no_recipe_shadows_an_installed_module() -> None:
    # `python jobs/x.py` puts jobs/ first on the path, and Ray does so on every worker.
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    recipes = [path for folder in ("jobs", "serve", "benchmarks", "examples") for path in (ROOT / folder).glob("*.py")]
    assert [path.name for path in recipes if path.stem in taken] == []


def test_all_names_what_the_package_gives() -> None:
    given = {"__version__"}
    for node in tree_of(PACKAGE / "__init__.py").body:
        if isinstance(node, ast.If):  # what editors and mypy see
            given |= {alias.name for each in node.body if isinstance(each, ast.ImportFrom) for alias in each.names}
    assert set(crossrank.__all__) == given
    assert crossrank.__all__ == sorted(crossrank.__all__)
    assert set(crossrank.__all__) <= set(dir(crossrank))
    with pytest.raises(AttributeError, match="module 'crossrank' has no attribute 'Rerankr'"):
        _ = crossrank.Rerankr


def test_every_error_stands_in_the_tree_that_opens_the_file() -> None:
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(classes) > 5
    tree = [line for line in (errors.__doc__ or "").splitlines() if line.startswith("    ")]
    told = {line.strip("│├└─ ").split()[0]: line for line in tree}
    assert set(told) == {each.__name__ for each in classes}
    for each in classes:
        assert issubclass(each, errors.CrossrankError)
        # The branches of UserError are one step further in than those of CrossrankError.
        depth = (len(told[each.__name__]) - len(told[each.__name__].lstrip("│├└─ "))) // 4 - 1
        assert depth == len(each.__mro__) - len(errors.CrossrankError.__mro__), each


def test_no_source_file_is_longer_than_is_read_in_one_go() -> None:
    assert those(lambda path: len(path.read_text().splitlines()) >= MOST_LINES) == []


def test_no_file_is_called_after_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
    assert those(lambda path: path.stem in vague) == []


def test_every_file_and_every_public_function_and_class_says_what_it_is_for() -> None:
    silent = []
    for path in SOURCES:
        tree = tree_of(path)
        if not ast.get_docstring(tree) and path.name != "__main__.py":
            silent.append(str(path.relative_to(ROOT)))
        silent += [
            f"{path.relative_to(ROOT)}: {node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ]
    assert silent == []


NO_BEGINNING = {
    *("of", "at", "by", "in", "on", "from", "for", "with", "under", "to", "as", "behind", "beside", "between", "into"),
    *("within", "without", "its", "those", "these", "told", "here", "same", "such", "so", "only", "also", "like"),
}
"""Words with which no docstring begins: what they are about stands somewhere else."""


def test_a_docstring_begins_with_the_name_of_what_it_is_about() -> None:
    wrong = []
    for path in SOURCES:
        for node in ast.walk(tree_of(path)):
            body = getattr(node, "body", None)
            for each in body if isinstance(body, list) else []:
                text = each.value.value if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) else None
                word = re.match(r"\W*([A-Za-z]+)", text) if isinstance(text, str) else None
                if word is not None and word[1].lower() in NO_BEGINNING:
                    wrong.append(f"{path.relative_to(ROOT)}:{each.lineno}: {word[1]} ...")
    assert wrong == [], "subject first; see CONTRIBUTING.md, Words"
