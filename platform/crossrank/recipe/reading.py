"""A recipe as it is written: a YAML file with one section for each stage.

    output: s3://bucket/ko-reranker        # a folder in it for each stage
    variables: {target: ko}                # {target} stands for it in any text of the file, {output} for the output
    translate: {source: en, target: "{target}", backend: amazon}
    train: {config: ko_reranker, eval_fraction: 0.002}

The keys of a section are the flags of its verb. Its ``config`` is a file of them: what stands beside it wins, and so do
the inputs that come from earlier stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from crossrank.config.files import assignments, config_values, filled, read_assigned, read_config, replace_texts
from crossrank.config.nearest import in_place_of, nearest, ours
from crossrank.config.yaml_text import shown
from crossrank.errors import SettingsError
from crossrank.verbs import VERBS

ORDER = ("import", "memory", "translate", "filter", "mine", "train", "merge", "evaluate", "rerank")
"""Every stage, in the order of the chain."""
SETTINGS = {
    name: VERBS[name].settings for name in ("train", "translate", "mine", "evaluate", "rerank", "filter", "merge")
}
"""What the sections of the verbs hold, in the order in which a key without a stage is looked for."""
OF_THE_RECIPE = {
    "output": "each has a folder in the recipe's output",
    "overwrite": "use crossrank recipe --overwrite STAGE",
    "dry_run": "use crossrank recipe --dry-run",
}
"""Keys of the verbs that a section does not have, and why."""

Keys = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """What is said of one stage."""

    given: Keys
    """By the recipe, or by ``--set``."""
    config: Keys
    """By the file that it names as ``config``."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file says, with its variables filled in."""

    file: str
    output: str
    sections: dict[str, Section]
    """By stage, in the order of the chain."""


def read_recipe(uri: str, sets: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        sets: ``NAME=VALUE`` for a variable or the output, ``STAGE.KEY=VALUE`` for a key of a stage.

    Raises:
        SettingsError: it is not YAML; a section that is no stage, or no mapping; no output; nothing to do.
        InputError: the file is not there.
    """
    values: Keys = {key.replace("-", "_"): value for key, value in read_config(uri).items()}
    assigned = assignments(sets)
    if "output" in assigned:
        values["output"] = assigned.pop("output")
    variables = list(values.get("variables") or ())
    values = filled(values, assigned, uri)
    output = values.pop("output", None)
    if not isinstance(output, str) or not output:
        raise SettingsError(f"{uri} has no output; name the folder for the results, such as output: out")
    unknown = next((name for name in values if name not in ORDER), None)
    if unknown is not None:
        known = ("output", "variables", *ORDER)
        raise SettingsError(f"{uri} has the section {unknown}, which is no stage; {in_place_of(unknown, known)}")
    if not values:
        raise SettingsError(f"{uri} has no stage; the stages are {', '.join(ORDER)}")
    given = {name: _mapping(uri, name, values[name]) for name in ORDER if name in values}
    for key, text in assigned.items():
        stage, dot, name = key.partition(".")
        if not dot or stage not in given:
            raise SettingsError(
                f"--set {key} is no variable of {uri}, and no STAGE.KEY; {_meant(key, given, variables)}"
            )
        given[stage][name] = read_assigned(key, text)
    output = output.rstrip("/")
    return Recipe(uri, output, {name: _section(uri, name, keys, output) for name, keys in given.items()})


def _meant(key: str, given: Mapping[str, Keys], variables: Iterable[str]) -> str:
    """What was probably meant by a key of ``--set``: one of a stage whose name was left out, or of another spelling."""
    stage, dot, name = key.partition(".")
    if dot:
        near = nearest(stage, given, {})
        return f"write {near}.{name}" if near else f"the stages of it are {', '.join(given)}"
    variable = nearest(key, ["output", *variables], {})
    if variable is not None:
        return f"write {variable}"
    for stage, settings_class in SETTINGS.items():
        known = ours(key, [each.name for each in fields(settings_class)]) if stage in given else None
        if known is not None:
            return f"write {stage}.{known}"
    return f"write STAGE.KEY, such as {next(iter(given))}.{key}"


def _mapping(uri: str, stage: str, value: Any) -> Keys:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise SettingsError(
            f"{stage} in {uri} is {shown(value)}, and keys with their values are wanted; write {stage}: {{}}"
        )
    return {key.replace("-", "_"): each for key, each in value.items()}


def _section(uri: str, stage: str, keys: Keys, output: str) -> Section:
    for key, why in OF_THE_RECIPE.items():
        if key in keys:
            raise SettingsError(f"{stage} in {uri} has the key {key}, which no stage of a recipe has: {why}")
    given = replace_texts(keys, {"{output}": output})
    config = given.pop("config", None)
    if config is None:
        return Section(given, {})
    if not isinstance(config, str):
        raise SettingsError(f"config of {stage} in {uri} is {shown(config)}, and the path of a YAML file is wanted")
    values = config_values(config, {})
    return Section(given, {key: value for key, value in values.items() if key not in OF_THE_RECIPE})
