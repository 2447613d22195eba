"""What the README shows runs as it is written."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from crossrank import Reranker
from crossrank.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLE, SECOND, *_ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_example_ranks_its_documents(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, load = tiny("bert"), Reranker.load
    # The model hub cannot be reached in a test; everything else is as written.
    monkeypatch.setattr(Reranker, "load", lambda name: load(str(folder), max_length=128))
    exec(EXAMPLE, {})
    scores, best = capsys.readouterr().out.strip().splitlines()
    assert re.fullmatch(r"\[\s*\S+\s+\S+\s+\S+\s*\]", scores)
    assert best.endswith(("one year.", "180 minutes.", "a week."))
    assert len(EXAMPLE.strip().splitlines()) <= 12


def test_the_second_python_example_goes_on_from_the_first(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, load = tiny("bert"), Reranker.load
    monkeypatch.setattr(Reranker, "load", lambda name: load(str(folder), max_length=128))
    names: dict[str, Any] = {}
    exec(EXAMPLE, names)
    capsys.readouterr()
    exec(SECOND, names)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert sorted((line[0], line[1]) for line in shown) == [("0", "7"), ("1", "None")]
    assert [len(ranking) for ranking in names["rankings"]] == [1, 1]


def test_every_flag_of_the_readme_is_a_flag() -> None:
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    commands = [shlex.split(line, comments=True) for line in shell.splitlines() if line.startswith("crossrank ")]
    assert {words[1] for words in commands} == set(main.crossrank.commands) - {"demo"}
    submitted = [["crossrank", words[2], *words[words.index("--") + 1 :]] for words in commands if "--" in words]
    for words in [*submitted, *(words[: words.index("--")] if "--" in words else words for words in commands)]:
        command = main.crossrank.commands[words[1]]
        if isinstance(command, click.Group):
            command = command.commands[words[2]]
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
