"""Number formats: their names are declared once, and every verb takes the same."""

from __future__ import annotations

import ast
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import crossrank
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.precision import DTYPES, Precision, precision_of
from crossrank.scoring.score_file import ScoreSettings
from crossrank.serving.settings import ServeSettings
from crossrank.training.settings import TrainSettings
from crossrank.translation.settings import TranslateSettings

PACKAGE = Path(crossrank.__file__).parent


def test_every_number_format_has_its_name_in_torch_and_back() -> None:
    assert tuple(DTYPES) == get_args(Precision)
    assert precision_of("bfloat16") == "bf16"
    assert [precision_of(name) for name in DTYPES.values()] == list(DTYPES)


def test_a_scorer_that_computes_in_none_of_them_has_no_precision_to_be_kept() -> None:
    assert precision_of("float64") is None
    assert precision_of(None) is None


@pytest.mark.parametrize("settings", [RerankSettings, ScoreSettings, TrainSettings, TranslateSettings, ServeSettings])
def test_every_verb_takes_the_same_number_formats(settings: type) -> None:
    assert get_type_hints(settings)["precision"] == Precision | None
    required = {field.name for field in fields(settings) if field.default is MISSING}
    given = {name: {"target": "ko", "backend": "memory"}.get(name, name) for name in required}
    if settings is RerankSettings:
        given["groups"] = "groups"
    for precision in DTYPES:
        assert settings(**given, precision=precision).precision == precision


def test_names_of_number_formats_are_listed_in_one_file() -> None:
    # In eight classes of settings and three maps a new one was forgotten in some.
    names = set(DTYPES) - {"fp32"}

    def lists(node: ast.AST) -> bool:
        texts = {each.value for each in ast.iter_child_nodes(node) if isinstance(each, ast.Constant)}
        return len(texts & names) > 1

    listing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(lists(node) for node in ast.walk(ast.parse(path.read_text())))
    }
    assert listing - NAMES_OF_PEERS == {"scoring/precision.py"}


NAMES_OF_PEERS = {"config/nearest.py", "scoring/argument_names.py"}
"""What other libraries call the setting itself, such as use_fp16: no list of ours."""
