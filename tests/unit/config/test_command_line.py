"""A command that is printed gives the settings back that it was made from."""

from __future__ import annotations

import shlex
from typing import Any

import click
import pytest

from crossrank.cli import main
from crossrank.cli.options import command
from crossrank.config.command_line import command_of
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.settings import FilterSettings
from crossrank.mining.settings import MineSettings
from crossrank.training.settings import TrainSettings

WHERE: dict[str, Any] = {"output": "out", "groups": "g"}


@pytest.mark.parametrize(
    ("verb", "settings"),
    [
        (
            "train",
            TrainSettings(
                base="a model's folder",
                **WHERE,
                learning_rate=5e-6,
                head_learning_rate=1e-3,
                lr_scheduler="cosine",
                freeze_embeddings=True,
                train_group_size=0,
                precision="bf16",
            ),
        ),
        (
            "mine",
            MineSettings(
                corpus="c", **WHERE, with_text=True, skip_top=3, encoder="E", pooling="cls", query_prompt="q: "
            ),
        ),
        ("filter", FilterSettings(source="no", target="en", **WHERE, min_length_ratio=0.5, samples=0)),
        ("evaluate", EvaluateSettings(models=("a=A", "b=http://h:1/x#y"), output="out", groups="g", timed_queries=0)),
        ("evaluate", EvaluateSettings(models=("a=A",), output="it's here", groups="g", workers="1:8", limit=3)),
    ],
)
def test_it_gives_back_what_it_was_made_from(verb: str, settings: Any) -> None:
    words = shlex.split(command_of([verb], settings))
    assert words[:2] == ["crossrank", verb]
    assert isinstance(main.crossrank.commands[verb], click.Command)
    got: list[Any] = []
    command(type(settings), got.append).main(args=words[2:], prog_name=verb, standalone_mode=False)
    assert got == [settings]


def test_what_has_its_default_is_not_said() -> None:
    assert (
        command_of(["mine"], MineSettings(corpus="c", **WHERE)) == "crossrank mine --output out --groups g --corpus c"
    )
