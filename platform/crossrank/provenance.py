"""The crossrank that runs: the first line of every log, and a part of every manifest."""

from __future__ import annotations

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from crossrank.version import PACKAGE, __version__

COMMIT = "CROSSRANK_COMMIT"
"""Environment variable with the commit of a package that was shipped without its git."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Version, place, commit and content of the code that runs."""

    version: str
    file: str
    commit: str | None
    """Git commit of a source tree, with ``+`` when it has changes; None for an installed package."""
    digest: str
    """Hash of the package's sources: equal digests are equal code, also where a job was shipped without its git."""

    def __str__(self) -> str:
        return f"crossrank {self.version} from {self.file}, commit {self.commit or 'unknown'}, sources {self.digest}"


def provenance() -> Provenance:
    """The provenance of the code that runs in this process."""
    return Provenance(__version__, str(PACKAGE), _commit(PACKAGE), _digest(PACKAGE))


def _commit(folder: Path) -> str | None:
    if not (folder.parents[1] / ".git").exists():  # site-packages may lie inside somebody else's repository
        return os.environ.get(COMMIT)
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD").strip()
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no").strip() else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout
