"""Which code runs."""

import os
import subprocess
from pathlib import Path

import pytest

import crossrank
from crossrank import provenance as module
from crossrank.provenance import Provenance, provenance


def git(folder: Path, *arguments: str) -> None:
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments]
    subprocess.run(command, check=True, capture_output=True, env=environment)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree of another crossrank, as this one: the package two folders below the root."""
    package = tmp_path / "platform" / "crossrank"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(module, "PACKAGE", package)
    return tmp_path


def test_a_source_tree_has_its_commit_and_a_plus_when_it_was_changed(tree: Path) -> None:
    git(tree, "init", "--quiet")
    git(tree, "add", ".")
    git(tree, "commit", "--quiet", "-m", "first")
    clean = provenance()
    assert clean.file == str(tree / "platform" / "crossrank")
    assert clean.commit is not None
    assert len(clean.commit) == 12
    (tree / "notes").write_text("not tracked")
    assert provenance().commit == clean.commit
    (tree / "platform" / "crossrank" / "__init__.py").write_text("x = 1\n")
    assert provenance().commit == clean.commit + "+"


def test_an_installed_package_has_none(tree: Path) -> None:
    assert provenance().commit is None


def test_a_package_that_was_shipped_has_the_commit_that_came_with_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(module.COMMIT, "0123456789ab+")
    assert provenance().commit == "0123456789ab+"


def test_a_repository_that_git_cannot_read_has_none(tree: Path) -> None:
    (tree / ".git").mkdir()
    assert provenance().commit is None


def test_a_machine_without_git_has_none(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / ".git").mkdir()
    monkeypatch.setenv("PATH", "/nowhere")
    assert provenance().commit is None


def test_equal_sources_have_equal_digests_wherever_they_lie(tree: Path, tmp_path: Path) -> None:
    source = tree / "platform" / "crossrank" / "__init__.py"
    before = provenance().digest
    (source.parent / "__pycache__").mkdir()
    (source.parent / "__pycache__" / "x.pyc").write_bytes(b"compiled")
    assert provenance().digest == before
    source.write_text("x = 1\n")
    assert provenance().digest != before
    source.write_text("")
    assert provenance().digest == before


def test_it_reads_as_a_sentence() -> None:
    assert str(Provenance("1.2", "/x", "abc+", "01ab")) == "crossrank 1.2 from /x, commit abc+, sources 01ab"
    assert str(Provenance("1.2", "/x", None, "01ab")) == "crossrank 1.2 from /x, commit unknown, sources 01ab"
    assert str(module.provenance()).startswith(f"crossrank {crossrank.__version__} from ")
