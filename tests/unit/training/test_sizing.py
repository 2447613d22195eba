"""How long a run is and how much it computes at once."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from crossrank.training.settings import TrainSettings
from crossrank.training.sizing import Sizes, few_steps_warning, sizes_of
from tests.unit.training.conftest import train_settings

SMALL = {"num_hidden_layers": 6, "hidden_size": 384}
LARGE = {"num_hidden_layers": 24, "hidden_size": 1024}
GIB = 2**30


def sized(num_groups: int = 1000, config: Any = SMALL, gpu_bytes: int | None = None, **settings: Any) -> Sizes:
    return sizes_of(train_settings(**settings), num_groups, config, gpu_bytes)


@pytest.mark.parametrize(
    ("num_groups", "settings", "per_epoch", "steps"),
    [
        (1000, {}, 8, 8),  # 1000 / 128 = 7.8
        (1024, {"num_train_epochs": 3}, 8, 24),
        (1025, {"num_train_epochs": 3}, 9, 27),  # the last step of each epoch has one group
        (1, {}, 1, 1),
        # The original: 499,184 rows and 128 a step are 3,899.9, and its log says 11,697 steps with the last dropped.
        (499_184, {"num_train_epochs": 3}, 3_900, 11_700),
    ],
)
def test_steps_by_hand(num_groups: int, settings: dict[str, Any], per_epoch: int, steps: int) -> None:
    found = sized(num_groups, **settings)
    assert (found.num_groups, found.steps_per_epoch, found.num_steps) == (num_groups, per_epoch, steps)


@pytest.mark.parametrize(
    ("settings", "save", "evaluate"),
    [
        ({}, 100, 100),  # a tenth of 1,000 steps
        ({"save_steps": 7}, 7, 7),
        ({"eval_steps": 50}, 50, 50),
        ({"save_steps": 10, "eval_steps": 30}, 10, 30),
    ],
)
def test_when_it_saves_and_validates(settings: dict[str, Any], save: int, evaluate: int) -> None:
    found = sized(128_000, **settings)
    assert found.num_steps == 1000
    assert (found.save_steps, found.eval_steps) == (save, evaluate)
    assert found.eval_steps % found.save_steps == 0, "a validation reads a checkpoint"


@pytest.mark.parametrize(("num_groups", "save"), [(1, 1), (128 * 9, 1), (128 * 11, 2)])
def test_a_short_run_saves_at_least_at_its_end(num_groups: int, save: int) -> None:
    assert sized(num_groups).save_steps == save


def test_on_cpu_a_micro_batch_fits_the_caches_and_is_fp32() -> None:
    found = sized()
    assert (found.budget.value, found.precision.value) == (2048, "fp32")
    assert sized(max_length=8192).budget.value == 8192, "a whole window has to fit"


def test_on_a_gpu_a_micro_batch_takes_half_its_memory() -> None:
    # A token keeps 24 layers x 1024 numbers x 34 x 4 bytes = 3,342,336; half of 24 GiB is 12,884,901,888: 3,855 tokens.
    found = sized(config=LARGE, gpu_bytes=24 * GIB)
    assert (found.budget.value, found.precision.value) == (3855, "bf16")
    assert found.budget.why == "GPU of 24 GiB at 3.19 MiB a token"
    # With checkpoints 2 numbers in place of 34: 65,536 tokens, and 32,768 are as fast.
    assert sized(config=LARGE, gpu_bytes=24 * GIB, gradient_checkpointing=True).budget.value == 32_768


def test_a_small_gpu_still_takes_a_whole_window() -> None:
    assert sized(config=LARGE, gpu_bytes=GIB).budget.value == 512


def test_a_configuration_with_other_names_is_read_or_taken_for_a_large_one() -> None:
    # DistilBERT calls them n_layers and dim.
    plain = sized(config={"num_hidden_layers": 6, "hidden_size": 768}, gpu_bytes=8 * GIB)
    assert sized(config={"n_layers": 6, "dim": 768}, gpu_bytes=8 * GIB).budget == plain.budget
    assert sized(config={"depth": 3}, gpu_bytes=8 * GIB).budget == sized(config=LARGE, gpu_bytes=8 * GIB).budget


def test_what_was_given_is_taken() -> None:
    for gpu_bytes in (None, 24 * GIB):
        found = sized(gpu_bytes=gpu_bytes, micro_batch_tokens=777, precision="fp16")
        assert (found.budget.value, found.budget.why) == (777, "as given")
        assert (found.precision.value, found.precision.why) == ("fp16", "as given")


def test_the_number_of_workers_changes_nothing() -> None:
    assert sized(workers="1") == sized(workers="8") == sized(workers="2:4")


@pytest.mark.parametrize(
    ("num_groups", "given", "told"),
    [
        # 100 groups at the default of 128 are one step; at 4 a step they are 25, and two epochs of that 50.
        (
            100,
            {},
            (
                "100 groups at groups_per_step=128 and num_train_epochs=1 are 1 step in all, too few to change much; "
                "for more: --set groups_per_step=4 --set num_train_epochs=2"
            ),
        ),
        # 1,000 groups: 8 steps; at 20 a step they are 50 in one epoch.
        (
            1000,
            {},
            (
                "1,000 groups at groups_per_step=128 and num_train_epochs=1 are 8 steps in all, too few to change "
                "much; for more: --set groups_per_step=20"
            ),
        ),
        # 3 groups: whatever is set, one step an epoch; ten epochs are as far as it goes.
        (
            3,
            {"groups_per_step": 2},
            (
                "3 groups at groups_per_step=2 and num_train_epochs=1 are 2 steps in all, too few to change much; "
                "for more: --set num_train_epochs=10"
            ),
        ),
        (3, {"groups_per_step": 2, "num_train_epochs": 10}, "are 20 steps in all, too few to change much"),
        (6400, {}, None),
        (100, {"groups_per_step": 4, "num_train_epochs": 2}, None),
    ],
)
def test_a_run_of_few_steps_says_how_many_and_which_keys_make_it_longer(
    num_groups: int, given: dict[str, Any], told: str | None
) -> None:
    settings = TrainSettings(base="b", groups="g", output="o", **given)
    steps = sizes_of(settings, num_groups, {}, None).num_steps
    found = few_steps_warning(settings, num_groups, steps)
    assert found is None if told is None else found is not None and found.endswith(told)


@pytest.mark.parametrize("num_groups", [7, 64, 100, 333, 1000, 5000])
def test_what_is_proposed_for_a_run_of_few_steps_makes_it_longer(num_groups: int) -> None:
    settings = TrainSettings(base="b", groups="g", output="o")
    before = sizes_of(settings, num_groups, {}, None).num_steps
    told = few_steps_warning(settings, num_groups, before) or ""
    proposed: dict[str, Any] = {key: int(value) for key, value in re.findall(r"--set (\w+)=(\d+)", told)}
    assert proposed
    after = sizes_of(replace(settings, **proposed), num_groups, {}, None).num_steps
    assert after >= min(50, 10 * -(-num_groups // 4))
    assert after > before
