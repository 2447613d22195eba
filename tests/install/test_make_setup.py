"""`make setup` with real make, Python and venv: which Python it takes, and where torch comes from.

What pip would be asked is printed instead, but for one test: there pip installs from a stand-in for torch's index.
Nothing of this machine's own settings for pip is read.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTED = "PIP=echo pip"
TORCH = "torch==2.13.0"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make setup` reads, and nothing else."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder that goes first on the path; Pythons that are not put here cannot be used."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("python3.11", "python3.12", "python3.13", "python3", "python", "nvidia-smi"):
        program(folder / name, "echo 'the command exists in none of its versions' >&2; exit 127")  # as a shim of pyenv
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def python(path: Path, has_pip: bool = False) -> None:
    """This Python, under another name. Without pip, which most of these tests do not run, a venv takes no seconds."""
    without = "" if has_pip else f'test "$2" = venv && exec {sys.executable} "$@" --without-pip'
    program(path, f'{without}\nexec {sys.executable} "$@"')


def make(checkout: Path, programs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON", "MAKE"))}
    env = kept | {"PIP_CONFIG_FILE": "/dev/null", "PATH": f"{programs}:/usr/bin:/bin", "NO_PROXY": "127.0.0.1"}
    if "PIP_CERT" in os.environ:
        env["PIP_CERT"] = os.environ["PIP_CERT"]
    command = ["make", "setup", *arguments]
    return subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, timeout=240, check=False)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """A stand-in for torch's index of builds without CUDA."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """Has torch 2.13.0+cpu, in which there is nothing."""
    page = tmp_path / "index" / "torch"
    page.mkdir(parents=True)
    wheel = "torch-2.13.0+cpu-py3-none-any.whl"
    info = "torch-2.13.0+cpu.dist-info"
    with zipfile.ZipFile(page / wheel, "w") as content:
        content.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0+cpu\n")
        content.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr(f"{info}/RECORD", "")
    (page / "index.html").write_text(f'<a href="{wheel.replace("+", "%2B")}">{wheel}</a>')
    with served(tmp_path / "index") as address:
        yield address


NOWHERE = "CPU_BUILDS=http://127.0.0.1:1"


@pytest.mark.parametrize("there", ["python3.11", "python3.12", "python3.13", "python3"])
def test_the_first_python_that_runs_is_taken_and_named(checkout: Path, programs: Path, there: str) -> None:
    python(programs / there)
    done = make(checkout, programs, PRINTED, NOWHERE)
    assert done.returncode == 0, done.stderr
    version = f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    assert f".venv: {version} ({there}); packages are fetched" in done.stdout
    assert (checkout / ".venv" / "bin" / "python").exists()
    asked = [line for line in done.stdout.splitlines() if line.startswith("pip ")]
    assert asked == [f"pip {TORCH}", "pip --editable .[demo,korean,lora]"], "no tool of development"


def test_3_11_goes_before_3_12_for_the_tests_ran_with_it(checkout: Path, programs: Path) -> None:
    python(programs / "python3.12")
    python(programs / "python3.11")
    assert "(python3.11)" in make(checkout, programs, PRINTED, NOWHERE).stdout


def test_without_a_python_it_says_what_to_install(checkout: Path, programs: Path) -> None:
    done = make(checkout, programs, PRINTED, NOWHERE)
    assert done.returncode == 2
    assert done.stderr.startswith(
        "crossrank needs Python 3.11, 3.12 or 3.13 with venv, and none of python3.11 python3.12 python3.13 python3 "
        "python is not; install one"
    )
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_named_and_cannot_be_used_is_refused_by_its_name(checkout: Path, programs: Path) -> None:
    python(programs / "python3.11")
    done = make(checkout, programs, PRINTED, NOWHERE, "PYTHON=/usr/bin/false")
    assert done.returncode == 2
    assert "and /usr/bin/false is not; install one" in done.stderr


def test_without_a_gpu_torch_comes_from_the_index_of_builds_without_cuda(
    checkout: Path, programs: Path, index: str
) -> None:
    python(programs / "python3.11")
    done = make(checkout, programs, PRINTED, f"CPU_BUILDS={index}")
    assert f"torch from {index}" in done.stdout
    assert f"pip --no-deps --index-url {index} {TORCH}" in done.stdout.splitlines()


@pytest.mark.parametrize("why", ["a GPU", "no answer", "asked for none"])
def test_else_from_where_pip_takes_all_else(checkout: Path, programs: Path, index: str, why: str) -> None:
    python(programs / "python3.11")
    if why == "a GPU":
        program(programs / "nvidia-smi", "echo 'GPU 0: NVIDIA L4'")
    address = NOWHERE if why == "no answer" else f"CPU_BUILDS={index}"
    done = make(checkout, programs, PRINTED, address, *(["TORCH_INDEX="] if why == "asked for none" else []))
    assert f"pip {TORCH}" in done.stdout.splitlines()
    assert "--index-url" not in done.stdout


def test_an_index_that_is_named_is_taken_with_a_gpu_too(checkout: Path, programs: Path) -> None:
    python(programs / "python3.11")
    program(programs / "nvidia-smi", "exit 0")
    done = make(checkout, programs, PRINTED, "TORCH_INDEX=https://example.org/cu126")
    assert f"pip --no-deps --index-url https://example.org/cu126 {TORCH}" in done.stdout.splitlines()


def test_the_tools_of_development_come_by_a_target_that_test_and_check_use(checkout: Path, programs: Path) -> None:
    python(programs / "python3.11")
    for target in ("tools", "test", "check"):
        command = ["make", "--dry-run", target, "PYTHON=python3.11"]
        env = {"PATH": f"{programs}:/usr/bin:/bin"}
        done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=True)
        assert "[demo,korean,lora,dev,bench]" in done.stdout, target
    command[2] = "demo"
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=True)
    assert "'.[demo,korean,lora]'" in done.stdout
    assert "bench" not in done.stdout


@pytest.mark.timeout(300)
def test_pip_keeps_the_build_of_that_index_when_it_installs_the_rest(
    checkout: Path, programs: Path, index: str
) -> None:
    """With the real pip and a project that wants torch alone. The backend that builds it comes from a registry."""
    python(programs / "python3.11", has_pip=True)
    backend = (ROOT / "pyproject.toml").read_text().partition("[project]")[0]
    (checkout / "pyproject.toml").write_text(
        f'{backend}[project]\nname = "crossrank"\nversion = "0"\ndependencies = ["torch>=2.13"]\n'
        "[project.optional-dependencies]\ndemo = []\nkorean = []\nlora = []\n"
        '[tool.hatch.build.targets.wheel]\nonly-include = ["Makefile"]\n'
    )
    done = make(checkout, programs, f"CPU_BUILDS={index}")
    assert done.returncode == 0, done.stdout + done.stderr
    code = "from importlib.metadata import version; print(version('torch'), version('crossrank'))"
    command = [str(checkout / ".venv" / "bin" / "python"), "-I", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == ["2.13.0+cpu", "0"]
