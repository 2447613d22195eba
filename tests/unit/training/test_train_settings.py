"""The settings of `crossrank train`: what is refused, by one sentence each, and what has to match on resume."""

from __future__ import annotations

from typing import Any

import pytest

from crossrank.config.settings import from_mapping
from crossrank.errors import CrossrankError, SettingsError
from crossrank.resumable.settings import that_affect_output
from crossrank.scoring.precision import DTYPES
from crossrank.training.losses import LOSSES
from crossrank.training.settings import TrainSettings
from tests.unit.training.conftest import train_settings

NUMBERS_ABOVE_0 = ("learning_rate", "head_learning_rate", "max_grad_norm", "temperature")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"eval_groups": "e", "eval_fraction": 0.1},
            "--eval-groups and --eval-fraction both name what is validated on; give one",
        ),
        *(
            ({"eval_fraction": part}, f"--eval-fraction is {part:g}; use a part between 0 and 1, such as 0.02")
            for part in (0.0, 1.0, -0.1, 2.0, float("nan"))
        ),
        ({"output": ""}, "--output is empty; name a folder"),
        ({"max_length": 7}, "--max-length is 7; use at least 8"),
        ({"limit": 0}, "--limit is 0; use at least 1"),
        ({"gpus_per_worker": -0.5}, "--gpus-per-worker is -0.5; use 0 for CPU, or a positive number"),
        ({"workers": "2:1"}, "--workers is '2:1'; use a number from 1, or MIN:MAX such as 1:8"),
        *(
            ({name: 0}, f"{name} is 0; use at least 1")
            for name in (
                "num_train_epochs",
                "groups_per_step",
                "lora_alpha",
                "save_steps",
                "eval_steps",
                "save_total_limit",
            )
        ),
        *(
            ({name: -1}, f"{name} is -1; use at least 0")
            for name in (
                "train_group_size",
                "weight_decay",
                "weight_group_ce",
                "weight_bce",
                "weight_kl",
                "weight_margin_mse",
                "lora_rank",
                "seed",
                "early_stopping_patience",
                "collapse_patience",
                "max_skipped_steps",
                "max_failures",
            )
        ),
        ({"weight_decay": float("nan")}, "weight_decay is nan; use at least 0"),
        *(
            ({name: value}, f"{name} is {value:g}; use a number above 0")
            for name in NUMBERS_ABOVE_0
            for value in (0.0, -1e-5, float("nan"), float("inf"))
        ),
        ({"seed": 2**63}, "seed is 9223372036854775808; use a number up to 9223372036854775807"),
        ({"warmup_ratio": 1.0}, "warmup_ratio is 1; use a part from 0 to below 1"),
        ({"warmup_ratio": -0.1}, "warmup_ratio is -0.1; use a part from 0 to below 1"),
        ({"dropout": 1.0}, "dropout is 1; use a part from 0 to below 1, or null for the model's own"),
        (
            {"train_group_size": 1},
            "train_group_size is 1, which leaves no negative; use 2 or more, or 0 for all documents",
        ),
        (
            {"weight_group_ce": 0.0},
            "every weight of the loss is 0, so there is nothing to learn; set weight_group_ce to 1",
        ),
        (
            {"micro_batch_tokens": 511},
            "micro_batch_tokens is 511, under max_length (512), so a full window fits no micro-batch; raise it",
        ),
        (
            {"save_steps": 40, "eval_steps": 100},
            "eval_steps is 100, no multiple of save_steps (40), and a validation reads a checkpoint; use 120",
        ),
    ],
)
def test_a_value_that_cannot_be_is_one_sentence(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        train_settings(**values)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "flag"),
    [("base", "--base"), ("groups", "--groups"), ("eval_groups", "--eval-groups"), ("corpus", "--corpus")],
)
def test_an_output_that_is_an_input_is_refused(name: str, flag: str) -> None:
    with pytest.raises(CrossrankError) as refused:
        train_settings(**{name: "./same", "output": "same/"})
    assert str(refused.value) == f"--output same/ would overwrite {flag} ./same; name another file"


@pytest.mark.parametrize(
    "values",
    [
        {"eval_fraction": 0.999},
        {"train_group_size": 2},
        {"train_group_size": 0},
        {"warmup_ratio": 0.0, "dropout": 0.0, "weight_decay": 0.0},
        {"weight_group_ce": 0.0, "weight_kl": 0.1},
        {"micro_batch_tokens": 512},
        {"save_steps": 40, "eval_steps": 120},
        {"eval_steps": 7},
        {"seed": 2**63 - 1},
        {"save_total_limit": 1, "max_failures": 0, "collapse_patience": 0, "max_skipped_steps": 0},
    ],
)
def test_a_value_at_its_limit_is_taken(values: dict[str, Any]) -> None:
    for name, value in values.items():
        assert getattr(train_settings(**values), name) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"lr_scheduler": "step"}, "lr_scheduler in here is 'step'; use one of linear, cosine, constant"),
        ({"truncation": "first"}, "truncation in here is 'first'; use one of only_second, longest_first"),
        ({"metric": "map"}, "metric in here is 'map'; use one of mrr@10, ndcg@10, success@3"),
        ({"precision": "int8"}, f"precision in here is 'int8'; use one of {', '.join(DTYPES)}"),
        ({"num_train_epochs": 1.5}, "num_train_epochs in here is 1.5, and a whole number is wanted"),
        ({"learning_rate": "fast"}, "learning_rate in here is 'fast', and a number is wanted"),
        ({"freeze_embeddings": "yes"}, "freeze_embeddings in here is 'yes', and true or false is wanted"),
    ],
)
def test_a_value_of_another_kind_is_one_sentence(value: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        from_mapping(TrainSettings, {"base": "b", "groups": "g", "output": "o", **value}, "here")
    assert str(refused.value) == message


def test_teacher_scores_are_read_where_a_term_of_the_loss_does() -> None:
    assert not train_settings().needs_teacher
    assert not train_settings(weight_bce=1.0).needs_teacher
    assert train_settings(weight_kl=0.1).needs_teacher
    assert train_settings(weight_margin_mse=0.1).needs_teacher


def test_what_decides_the_weights_has_to_match_on_resume_and_nothing_else() -> None:
    free = {
        "output",
        "workers",
        "gpus_per_worker",
        "accelerator",
        "dry_run",
        "overwrite",
        "push_to_hub",
        "save_total_limit",
        "collapse_patience",
        "max_skipped_steps",
        "max_failures",
    }
    kept = that_affect_output(train_settings())
    assert not free & kept.keys()
    assert kept.keys() | free == set(TrainSettings.__dataclass_fields__)


def test_the_defaults_are_the_cross_entropy_of_groups_of_eight() -> None:
    settings = train_settings()
    weights = (settings.weight_group_ce, settings.weight_bce, settings.weight_kl, settings.weight_margin_mse)
    assert weights == (1.0, 0.0, 0.0, 0.0)
    assert (settings.groups_per_step, settings.train_group_size, settings.learning_rate) == (128, 8, 2e-5)


def test_every_loss_has_a_knob_for_its_weight_and_every_such_knob_a_loss() -> None:
    knobs = {name.removeprefix("weight_") for name in TrainSettings.__dataclass_fields__ if name.startswith("weight_")}
    assert knobs - {"decay"} == set(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_can_be_trained_alone_or_be_left_out(name: str) -> None:
    nothing = dict.fromkeys((f"weight_{each}" for each in LOSSES), 0.0)
    alone = train_settings(**nothing | {f"weight_{name}": 0.5})
    assert list(alone.objective.terms) == [name]
    assert alone.needs_teacher == LOSSES[name].needs_teacher
    with pytest.raises(SettingsError, match=f"weight_{name} is -1; use at least 0"):
        train_settings(**{f"weight_{name}": -1.0})
