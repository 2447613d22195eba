"""The Dockerfile's RUN lines, in an environment of their own: no container engine is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ray.driver import ROOT


def lines(instruction: str) -> list[str]:
    content = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2] for line in content.splitlines() if line.startswith(f"{instruction} ")]


@pytest.mark.timeout(1800)  # gigabytes of packages are unpacked
def test_what_the_image_is_built_of_installs_and_runs(tmp_path: Path) -> None:
    image = tmp_path / "image"
    for line in lines("COPY"):
        *sources, target = [part for part in line.split() if not part.startswith("--")]
        folder = image / target.strip("/")
        for source in sources:
            if (ROOT / source).is_dir():
                # As .dockerignore has it, and as git: nothing that was made here.
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(ROOT / source, folder, ignore=ignored)
            else:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, folder)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    env["PATH"] = f"{tmp_path / 'env' / 'bin'}:{env['PATH']}"
    for command in lines("RUN"):
        done = subprocess.run(
            ["bash", "-euc", command.replace("/crossrank", str(image / "crossrank"))],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    assert done.stdout.startswith("crossrank, version ")
    where = subprocess.run(
        [
            "python",
            "-c",
            "import crossrank.config.shipped_recipes as its; print(its.configuration_file('small_machine'))",
        ],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(tmp_path / "env"))
