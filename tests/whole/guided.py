"""A shell for the lines of a guide, in which crossrank is loaded already and one Ray serves all jobs.

    python -m tests.whole.guided        # reads {"kind": "sh" or "python", "block": ...} a line

What a line `crossrank ...` does as a program it does here, without the seconds that loading takes; everything else goes
through bash as it stands. After each block a line {"status": ..., "said": ...} comes back.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STOPS_S = 30.0
HERE_DOCUMENT = re.compile(r"<<'(\w+)'")


def commands_of(block: str) -> Iterator[str]:
    """The commands of a block, each whole: a line with those that continue it, or with its here-document."""
    lines = iter(block.splitlines())
    for line in lines:
        command = line
        while command.endswith("\\"):
            command = f"{command[:-1]}{next(lines)}"
        ends = HERE_DOCUMENT.search(command)
        while ends and not command.endswith(f"\n{ends[1]}"):
            command += f"\n{next(lines)}"
        if command.strip():
            yield command


class Shell:
    """The shell as a process of its own. Close it at the end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "tests.whole.guided"]
        root = str(Path(__file__).parents[2])
        environment = environment | {"PYTHONPATH": root}
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, kind: str, block: str) -> str:
        """What the block said; it has to end well."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"kind": kind, "block": block}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert answer["status"] == 0, answer["said"]
        return str(answer["said"])

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOPS_S)
        except subprocess.TimeoutExpired:  # a block that takes too long, of which its test has told
            self._process.kill()
            self._process.wait()


def _status_of(kind: str, block: str) -> int:
    if kind == "python":
        exec(compile(block, "guide", "exec"), {"__name__": "__main__"})
        return 0
    for command in commands_of(block):
        words = shlex.split(command, comments=True)
        alone = not re.search(r"<<|[|&;>]", command)
        status = _crossrank(words[1:]) if words[0] == "crossrank" and alone else _bash(command)
        if status:
            return status
    return 0


def _crossrank(arguments: list[str]) -> int:
    from crossrank.cli.main import main

    try:
        main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _bash(command: str) -> int:
    return subprocess.run(["bash", "-c", command], check=False).returncode


def _answer(line: str) -> dict[str, Any]:
    import traceback

    asked = json.loads(line)
    with tempfile.TemporaryFile("w+") as said:
        kept = [os.dup(number) for number in (1, 2)]
        for number in (1, 2):
            os.dup2(said.fileno(), number)
        try:
            status = _status_of(asked["kind"], asked["block"])
        except Exception:
            traceback.print_exc()
            status = 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, where in zip((1, 2), kept, strict=True):
                os.dup2(where, number)
                os.close(where)
        said.seek(0)
        return {"status": status, "said": said.read()}


def main() -> None:
    # Standard output is for answers alone, and what Ray says beside a block goes nowhere among them.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_answer(line)), file=answers, flush=True)


if __name__ == "__main__":
    main()
