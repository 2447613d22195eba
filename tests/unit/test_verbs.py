"""The verbs as functions of Python: keywords, signatures, and errors of our own before anything is loaded."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossrank
from crossrank import verbs
from crossrank.config.keywords import keywords_of
from crossrank.config.settings import described
from crossrank.errors import InputError, SettingsError
from crossrank.evaluation.settings import EvaluateSettings
from crossrank.filtering.settings import FilterSettings
from crossrank.mining.settings import MineSettings
from crossrank.reranking.settings import RerankSettings
from crossrank.scoring.score_file import ScoreSettings
from crossrank.training.merge import MergeSettings
from crossrank.training.settings import TrainSettings
from crossrank.translation.settings import TranslateSettings

SETTINGS: dict[str, Any] = {
    "rerank": RerankSettings,
    "score": ScoreSettings,
    "translate": TranslateSettings,
    "filter": FilterSettings,
    "mine": MineSettings,
    "train": TrainSettings,
    "merge": MergeSettings,
    "evaluate": EvaluateSettings,
}
GIVEN: dict[str, Any] = {"base": "b", "groups": "g", "output": "o"}


@keywords_of(TrainSettings)
def trained_with(settings: TrainSettings) -> TrainSettings:
    """Give the settings back.

    Returns:
        What came.
    """
    return settings


@keywords_of(EvaluateSettings)
def evaluated_with(settings: EvaluateSettings) -> EvaluateSettings:
    """Give the settings back."""
    return settings


@pytest.mark.parametrize("name", SETTINGS)
def test_a_verb_takes_every_flag_and_key_as_a_keyword_and_nothing_else(name: str) -> None:
    verb = getattr(crossrank, name)
    parameters = inspect.signature(verb).parameters
    told = (inspect.getdoc(verb) or "").splitlines()
    settings = SETTINGS[name]
    assert set(parameters) == {each.name for each in fields(settings)}
    for each in fields(settings):
        found = parameters[each.name]
        assert found.kind is inspect.Parameter.KEYWORD_ONLY
        assert found.default == (inspect.Parameter.empty if each.default is MISSING else each.default)
        assert not isinstance(found.annotation, str), "a type, for editors, not its name"
        assert f"    {each.name}: {described(each)}" in told
    assert verb.__name__ == name


def test_help_says_what_comes_back_and_what_is_raised() -> None:
    told = inspect.getdoc(trained_with) or ""
    order = [
        "Give the settings back.",
        "Args:",
        "    base: ",
        "Returns:",
        "    What came.",
        "Raises:",
        "    UserError: ",
    ]
    assert [told.index(each) for each in order] == sorted(told.index(each) for each in order)


def test_paths_numbers_of_numpy_lists_and_dictionaries_are_taken_as_what_they_say() -> None:
    given: dict[str, Any] = {
        "base": "b",
        "groups": Path("some") / "groups.parquet",
        "output": "o",
        "learning_rate": np.float32(0.5),
        "seed": np.int64(7),
        "weight_bce": 1,
        "eval_groups": None,
    }
    found = trained_with(**given)
    assert found == TrainSettings(
        base="b", groups="some/groups.parquet", output="o", learning_rate=0.5, seed=7, weight_bce=1.0
    )
    assert (type(found.learning_rate), type(found.seed), type(found.weight_bce)) == (float, int, float)
    as_written: list[Any] = [
        ["base=B", "tuned=out/model"],
        ("base=B", "tuned=out/model"),
        {"base": "B", "tuned": Path("out/model")},
    ]
    for models in as_written:
        assert evaluated_with(models=models, groups="g", output="o").models == ("base=B", "tuned=out/model")


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lr": 1e-5}, "crossrank.trained_with() has the key lr, which is not known; write learning_rate"),
        (
            {"model_name_or_path": "x"},
            "crossrank.trained_with() has the key model_name_or_path, which is not known; write base",
        ),
        ({"groups": None}, "groups in crossrank.trained_with() is null, and a text is wanted"),
        (
            {"groups": np.zeros(3)},
            "groups in crossrank.trained_with() is a ndarray, and a text is wanted; write it to a file, and name that",
        ),
        ({"groups": ["a", "b"]}, "groups in crossrank.trained_with() is [a, b], and a text is wanted"),
        (
            {"num_train_epochs": 1.5},
            "num_train_epochs in crossrank.trained_with() is 1.5, and a whole number is wanted",
        ),
        (
            {"freeze_embeddings": "yes"},
            "freeze_embeddings in crossrank.trained_with() is 'yes', and true or false is wanted",
        ),
        ({"learning_rate": float("nan")}, "learning_rate in crossrank.trained_with() is nan; use a finite number"),
    ],
)
def test_a_wrong_keyword_is_one_sentence_of_ours(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        trained_with(**GIVEN | wrong)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda verb: verb("b", "g"),
            "crossrank.trained_with() takes its flags by name; write trained_with(output=..., base=..., groups=...)",
        ),
        (lambda verb: verb(base="b"), "output and groups are missing; give what is missing by its name"),
    ],
)
def test_what_is_missing_or_has_no_name_is_one_sentence_of_ours(
    call: Callable[[Callable[..., Any]], Any], sentence: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        call(trained_with)
    assert str(refused.value) == sentence


def test_one_model_is_not_taken_for_the_letters_of_its_name() -> None:
    with pytest.raises(SettingsError, match=r"models in .* is 'a=b', and a list of texts is wanted"):
        evaluated_with(models="a=b", groups="g", output="o")


def test_an_input_that_is_not_there_is_our_own_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.jsonl does not exist; check the path"):
        crossrank.score(model="m", input=str(tmp_path / "no.jsonl"))
    with pytest.raises(SettingsError, match="--from csv is not a format that can be used there; write qa-csv"):
        crossrank.convert("in", "out", source_format="csv", target_format="groups")


def test_convert_takes_paths_and_says_what_became_of_the_rows(tmp_path: Path) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "groups.parquet"
    source.write_text(json.dumps({"query": "q", "pos": ["yes"], "neg": ["no"]}) + "\n")
    counts = crossrank.convert(source, target, source_format="flagembedding", target_format="groups")
    assert (counts.read, counts.written, counts.rejected) == (1, 1, 0)
    assert target.exists()


def test_a_program_that_is_type_checked_sees_the_keywords(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import crossrank\n"
        'crossrank.train(base="b", groups="g", output="o", learning_rate=1e-5)\n'
        'crossrank.evaluate(models=["a=b"], groups="g", output="o")\n'
        'crossrank.train(base="b", groups="g", output="o", lr=1e-5)\n'
        'crossrank.train(base="b", groups="g", output="o", learning_rate="high")\n'
    )
    root = Path(crossrank.__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--config-file", str(root / "pyproject.toml"), str(program)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
    told = [line.split("program.py:")[1] for line in done.stdout.splitlines() if "error:" in line]
    assert [line.split(":")[0] for line in told] == ["4", "5"], done.stdout + done.stderr
    assert '"lr"' in told[0]
    assert '"learning_rate"' in told[1]


def test_every_verb_is_a_function_of_the_module() -> None:
    assert {*SETTINGS, "convert"} == {name for name in crossrank.__all__ if hasattr(verbs, name)}
