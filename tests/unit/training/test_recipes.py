"""The recipes that are shipped: each is a valid configuration, and the ko-reranker's has the original's values."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from crossrank.cli.options import command
from crossrank.config.files import read_config
from crossrank.config.settings import from_mapping
from crossrank.training.job import train
from crossrank.training.settings import TrainSettings

ROOT = Path(__file__).parents[3]
RECIPES = ROOT / "jobs" / "recipes"
OF_THE_CHAIN = ["msmarco_to_korean.yaml"]
"""What `crossrank recipe` reads; see tests/unit/recipe."""
NAMES = sorted(path.name for path in RECIPES.iterdir() if path.name not in OF_THE_CHAIN)
WHERE = {"base": "base-model", "groups": "groups.jsonl", "output": "trained"}


def parsed(recipe: str, *arguments: str) -> TrainSettings:
    """What `crossrank train` gets from a recipe and these flags, and from --base and so on where it names none."""
    got: list[TrainSettings] = []
    config = str(RECIPES / recipe)
    lacking = [f"--{name}={value}" for name, value in WHERE.items() if name not in read_config(config)]
    command(TrainSettings, got.append).main(
        args=["--config", config, *lacking, *arguments], prog_name="train", standalone_mode=False
    )
    [settings] = got
    return settings


def test_there_is_one_for_each_need() -> None:
    assert NAMES == ["distillation.yaml", "english_to.yaml", "ko_reranker.yaml", "small_machine.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_valid_configuration_that_a_person_can_read(name: str) -> None:
    settings = parsed(name)
    values = read_config(str(RECIPES / name))
    values.pop("variables", None)
    # Numbers are numbers to every reader of YAML, which takes 5e-6 for a text.
    plain = {key: value for key, value in values.items() if not (isinstance(value, str) and "{" in value)}
    assert {key: getattr(settings, key) for key in plain} == plain
    assert from_mapping(TrainSettings, {**WHERE, **plain}, name).groups_per_step == settings.groups_per_step
    text = (RECIPES / name).read_text()
    assert text.startswith("# ")
    assert f"--config {Path(name).stem} " in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_ko_reranker_is_trained_as_the_original_was() -> None:
    original: dict[str, Any] = {
        "base": "BAAI/bge-reranker-large",
        "learning_rate": 5e-6,
        "precision": "fp16",
        "num_train_epochs": 3,
        "groups_per_step": 4 * 1 * 32,  # GPUs, per_device_train_batch_size, gradient_accumulation_steps
        "train_group_size": 3,
        "max_length": 512,
        "truncation": "longest_first",
        "weight_decay": 0.01,
        "lr_scheduler": "linear",
        "warmup_ratio": 0.0,
        "max_grad_norm": 1.0,
        "seed": 42,
        "save_steps": 1000,
        "save_total_limit": 1,
        # What the original lacked: its loss is the group's cross-entropy alone, over all weights, with their dropout.
        "weight_group_ce": 1.0,
        "weight_bce": 0.0,
        "weight_kl": 0.0,
        "weight_margin_mse": 0.0,
        "head_learning_rate": None,
        "dropout": None,
        "freeze_embeddings": False,
        "lora_rank": 0,
        "early_stopping_patience": 0,
        "instruction": None,
    }
    settings = parsed("ko_reranker.yaml")
    assert {name: getattr(settings, name) for name in original} == original
    assert settings.eval_steps == 1000


@pytest.mark.parametrize("target", ["ko", "de"])
def test_the_target_language_is_one_word_everywhere(target: str) -> None:
    settings = parsed("english_to.yaml", *(["--set", f"target={target}"] if target != "ko" else []))
    assert settings.groups == f"data/groups.{target}/"
    assert settings.eval_groups == f"data/groups.{target}.held-out/"
    assert settings.output == f"models/reranker.{target}"


def test_a_flag_and_a_set_win_over_the_recipe() -> None:
    settings = parsed("english_to.yaml", "--set", "target=de", "--set", "learning_rate=1e-5", "--output", "elsewhere")
    assert (settings.learning_rate, settings.output) == (1e-5, "elsewhere")


def test_distillation_reads_the_teacher_and_the_small_machine_does_not() -> None:
    assert parsed("distillation.yaml").needs_teacher
    small = parsed("small_machine.yaml")
    assert small.freeze_embeddings
    assert not small.needs_teacher


def test_the_job_is_the_verb() -> None:
    names = runpy.run_path(str(ROOT / "jobs" / "train_reranker.py"), run_name="imported")
    assert names["train"] is train
    assert names["TrainSettings"] is TrainSettings
