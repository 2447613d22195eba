"""Nothing that is read from outside is run: no pickle, no code of a model, no YAML that makes objects.

The source is read as Python reads it. What is loaded otherwise than here has to be argued for here.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import crossrank

ROOT = Path(crossrank.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
LOADS_OBJECTS = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle", "pandas"}
BETWEEN_OUR_OWN_PROCESSES = {"resumable/on_ray/workers.py", "training/on_ray/ranks.py"}
"""Where driver and workers of one job hand each other values by way of Ray, which pickles all that it carries."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """Every call in a file, by what is called as it is written."""
    return [(ast.unparse(node.func), node) for node in nodes(path) if isinstance(node, ast.Call)]


def keywords(call: ast.Call) -> dict[str | None, str]:
    return {each.arg: ast.unparse(each.value) for each in call.keywords}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def found(*functions: str) -> list[tuple[str, ast.Call]]:
    """Calls of a function, whatever module it is taken from."""
    return [
        (name(path), call)
        for path in SOURCES
        for written, call in calls(path)
        if written in functions or written.rsplit(".", 1)[-1] in functions
    ]


def test_no_library_that_makes_objects_of_files_is_imported() -> None:
    importing = set()
    for path in SOURCES:
        for node in nodes(path):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if LOADS_OBJECTS & {each.split(".")[0] for each in names}:
                importing.add(name(path))
    assert importing == BETWEEN_OUR_OWN_PROCESSES


def test_what_is_unpickled_came_by_way_of_ray_and_never_from_a_file() -> None:
    unpickled = [(path, ast.unparse(call.args[0])) for path, call in found("pickle.loads")]
    assert sorted(unpickled) == [
        ("resumable/on_ray/workers.py", "figures['failure']"),  # of a worker of this job
        ("training/on_ray/ranks.py", "config['given']"),  # of the driver
        ("training/on_ray/ranks.py", "ended"),  # of rank 0
        ("training/on_ray/ranks.py", "ended"),  # of the board of this run
    ]
    assert found("pickle.load", "Unpickler") == []


def test_torch_reads_weights_only() -> None:
    loads = found("torch.load")
    assert loads
    for path, call in loads:
        assert keywords(call)["weights_only"] == "True", path


def test_numpy_reads_no_objects() -> None:
    loads = found("np.load")
    assert loads
    for path, call in loads:
        assert keywords(call).get("allow_pickle", "False") == "False", path  # its default since 1.16


def test_models_are_read_as_safetensors_and_their_code_is_never_run() -> None:
    for path, call in found("from_pretrained"):
        assert keywords(call).get("trust_remote_code", "False") == "False", path
        if "Tokenizer" not in (of := ast.unparse(call.func)) and "Config" not in of:
            assert keywords(call).get("use_safetensors") == "True", f"{path}: {of}"


@pytest.mark.parametrize("function", ["eval", "exec", "compile", "__import__", "import_module", "run_path"])
def test_no_text_is_made_into_code(function: str) -> None:
    assert [path for path in SOURCES for written, _ in calls(path) if written == function] == []


def test_yaml_makes_no_objects() -> None:
    assert found("yaml.load", "yaml.full_load", "yaml.unsafe_load", "load_all") == []


def test_no_command_goes_through_a_shell() -> None:
    assert found("os.system", "os.popen", "getoutput") == []
    for path, call in found("subprocess.run", "subprocess.Popen", "check_output", "check_call"):
        assert keywords(call).get("shell", "False") == "False", path
