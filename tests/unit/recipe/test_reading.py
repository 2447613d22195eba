"""A recipe as it is written: sections, variables, what ``--set`` changes, and what is refused."""

from __future__ import annotations

import pytest

from crossrank.errors import InputError, SettingsError
from crossrank.recipe.reading import ORDER, Section, read_recipe
from tests.unit.recipe.conftest import Write

STAGES = ", ".join(ORDER)
NO_KEY = "mine in r.yaml has the key"


def test_sections_come_in_the_order_of_the_chain_however_they_are_written(write: Write) -> None:
    file = write(
        "r.yaml", "train: {base: B, eval-fraction: 0.1}\nfilter:\noutput: out/\nimport: {format: beir, input: i}\n"
    )
    recipe = read_recipe(file)
    assert (recipe.file, recipe.output, list(recipe.sections)) == ("r.yaml", "out", ["import", "filter", "train"])
    assert recipe.sections["train"] == Section({"base": "B", "eval_fraction": 0.1}, {})
    assert recipe.sections["filter"] == Section({}, {})


def test_variables_and_the_output_are_filled_in_at_any_depth(write: Write) -> None:
    file = write(
        "r.yaml",
        "variables: {lang: ko}\noutput: out.{lang}\ntranslate: {target: '{lang}'}\n"
        "evaluate: {models: ['a={output}/model', 'b=B'], eval_csv: 'q.{lang}.csv'}\n",
    )
    found = read_recipe(file, ["lang=no"])
    assert found.output == "out.no"
    assert found.sections["translate"].given == {"target": "no"}, "a text, which to YAML were a false"
    assert found.sections["evaluate"].given == {"models": ["a=out.no/model", "b=B"], "eval_csv": "q.no.csv"}
    assert (
        read_recipe(file, ["output=s3://bucket/x"]).sections["evaluate"].given["models"][0] == "a=s3://bucket/x/model"
    )


def test_set_changes_a_key_of_a_stage_as_yaml_reads_it(write: Write) -> None:
    file = write("r.yaml", "output: o\ntrain: {base: B, seed: 1}\nmine:\n")
    found = read_recipe(file, ["train.seed=7", "mine.with-text=true", "train.base=C"])
    assert found.sections["train"].given == {"base": "C", "seed": 7}
    assert found.sections["mine"].given == {"with_text": True}


def test_a_stage_takes_the_keys_of_its_config_but_where_it_says_otherwise(write: Write) -> None:
    write("c.yaml", "variables: {x: 3}\nseed: 5\nmax-length: 64\ngroups: g.{x}\noutput: elsewhere\noverwrite: true\n")
    found = read_recipe(write("r.yaml", "output: o\ntrain: {config: c.yaml, seed: 1}\n"))
    # Where its result goes, and whether to start afresh, is the recipe's to say.
    assert found.sections["train"] == Section({"seed": 1}, {"seed": 5, "max_length": 64, "groups": "g.3"})


@pytest.mark.parametrize(
    ("content", "sets", "sentence"),
    [
        ("output: o\ntrian: {}\n", [], "r.yaml has the section trian, which is no stage; write train"),
        ("outputs: o\ntrain: {}\n", [], "r.yaml has no output; name the folder for the results, such as output: out"),
        ("output: o\nvariable: {}\n", [], "r.yaml has the section variable, which is no stage; write variables"),
        ("train: {}\n", [], "r.yaml has no output; name the folder for the results, such as output: out"),
        ("output: 3\ntrain: {}\n", [], "r.yaml has no output; name the folder for the results, such as output: out"),
        ("output: o\n", [], f"r.yaml has no stage; the stages are {STAGES}"),
        ("output: o\ntrain: 7\n", [], "train in r.yaml is 7, and keys with their values are wanted; write train: {}"),
        (
            "output: o\nmine: {output: x}\n",
            [],
            f"{NO_KEY} output, which no stage of a recipe has: each has a folder in the recipe's output",
        ),
        (
            "output: o\nmine: {overwrite: true}\n",
            [],
            f"{NO_KEY} overwrite, which no stage of a recipe has: use crossrank recipe --overwrite STAGE",
        ),
        (
            "output: o\nmine: {}\n",
            ["train.seed=1"],
            "--set train.seed is no variable of r.yaml, and no STAGE.KEY; the stages of it are mine",
        ),
        (
            "output: o\ntrain: {}\n",
            ["trian.seed=1"],
            "--set trian.seed is no variable of r.yaml, and no STAGE.KEY; write train.seed",
        ),
        (
            "output: o\ntrain: {}\n",
            ["lr=1e-5"],
            "--set lr is no variable of r.yaml, and no STAGE.KEY; write train.learning_rate",
        ),
        (
            "output: o\nvariables: {target: ko}\ntrain: {}\n",
            ["targt=de"],
            "--set targt is no variable of r.yaml, and no STAGE.KEY; write target",
        ),
        (
            "output: o\nmine: {}\n",
            ["seed=1"],
            "--set seed is no variable of r.yaml, and no STAGE.KEY; write STAGE.KEY, such as mine.seed",
        ),
        ("output: o\nmine: {}\n", ["seed"], "--set 'seed' is no KEY=VALUE; write it like learning_rate=2e-5"),
        (
            "output: o\nmine: {config: 3}\n",
            [],
            "config of mine in r.yaml is 3, and the path of a YAML file is wanted",
        ),
    ],
)
def test_what_is_not_understood_is_one_sentence(write: Write, content: str, sets: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_recipe(write("r.yaml", content), sets)
    assert str(refused.value) == sentence


def test_a_recipe_or_a_config_that_is_not_there_is_named(write: Write) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml does not exist"):
        read_recipe("nowhere.yaml")
    with pytest.raises(InputError, match=r"gone\.yaml does not exist"):
        read_recipe(write("r.yaml", "output: o\ntrain: {config: gone.yaml}\n"))
