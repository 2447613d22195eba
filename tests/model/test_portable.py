"""The names of transformers 4 hold what those of 5 hold: 5 still reads them, and finds the same rotary positions."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING

from crossrank.training.portable import portable_config

BASE, OTHER_BASE = 123_456.0, 789.0
NOT_IN_4 = {"olmo3", "ultrabert"}
"""Families with two kinds of layers that transformers 4 has no classifier of, so that nothing is written for it."""


def with_rotary_positions() -> dict[str, Any]:
    found = {}
    for each in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        config = each()
        if getattr(config, "rope_parameters", None):
            found[config.model_type] = config
    return found


FAMILIES = with_rotary_positions()


def test_the_families_that_rerankers_come_from_are_among_them() -> None:
    assert {"modernbert", "qwen2", "qwen3", "llama", "mistral", "gemma", "gemma2", "gemma3_text", "phi3"} <= {*FAMILIES}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_old_names_give_the_same_positions_alone_and_beside_the_new(family: str) -> None:
    config = copy.deepcopy(FAMILIES[family])
    of_layers = [each for each in config.rope_parameters.values() if isinstance(each, dict)]
    for place, parameters in enumerate(of_layers or [config.rope_parameters]):
        parameters["rope_theta"] = OTHER_BASE if place else BASE
    wanted = copy.deepcopy(config.rope_parameters)
    written = portable_config(config.to_dict())
    assert type(config).from_dict(copy.deepcopy(written)).rope_parameters == wanted
    new = written.pop("rope_parameters")
    if family in NOT_IN_4:
        assert written.keys() == config.to_dict().keys() - {"rope_parameters"}
    else:
        assert type(config).from_dict(written).rope_parameters == wanted
    # What was feared: without either the default of the family is taken, and nobody is told.
    without = {name: value for name, value in config.to_dict().items() if name != "rope_parameters"}
    assert type(config).from_dict(without).rope_parameters != new
