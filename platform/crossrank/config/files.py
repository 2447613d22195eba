"""Configuration files in YAML, with variables, and keys that are set on the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from crossrank import storage
from crossrank.config.shipped_recipes import configuration_file
from crossrank.config.yaml_reading import load_yaml
from crossrank.config.yaml_text import shown
from crossrank.errors import SettingsError, in_short


def read_config(uri: str) -> dict[str, Any]:
    """Read the mapping in a YAML file, or in the recipe of that name; see `shipped_recipes`."""
    raw = storage.read_bytes(configuration_file(uri))
    storage.refuse_keys(raw.decode(errors="replace"))  # first, since a YAML error quotes the text around it
    try:
        content = load_yaml(raw, uri)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{uri} is not YAML: {in_short(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{uri} holds no mapping of names to values; write lines like 'depth: 100'")
    return content


def assignments(sets: Sequence[str]) -> dict[str, str]:
    """Read the values that ``--set`` gives to keys, as they were typed."""
    texts = {}
    for assignment in sets:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise SettingsError(f"--set {assignment!r} is no KEY=VALUE; write it like learning_rate=2e-5")
        texts[key.strip().replace("-", "_")] = value.strip()
    return texts


def read_assigned(key: str, text: str) -> Any:
    """The value that was typed for a key, as YAML reads it."""
    try:
        return load_yaml(text, f"--set {key}")
    except yaml.YAMLError as error:
        raise SettingsError(f"--set '{key}={text}' has a value that is not YAML; quote it") from error


def config_values(config: str, assigned: dict[str, str]) -> dict[str, Any]:
    """The values of a configuration file, with its variables filled in; see `filled`."""
    return filled({key.replace("-", "_"): value for key, value in read_config(config).items()}, assigned, config)


def filled(values: dict[str, Any], assigned: dict[str, str], config: str) -> dict[str, Any]:
    """The values of a file; ``{name}`` in a text stands for a variable that the file declares.

    A file declares variables, with their defaults, under ``variables``; ``--set`` gives them other values, which are
    taken out of `assigned` and are texts as they were typed: to YAML the language ``no`` is a false.
    """
    variables = values.pop("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(name, str) for name in variables):
        raise SettingsError(f"variables in {config} is {shown(variables)}, and a mapping of names to values is wanted")
    texts = {}
    for name, default in variables.items():
        if isinstance(default, bool) or not isinstance(default, str | int | float):
            raise SettingsError(f"the variable {name} in {config} is {shown(default)}, and a text is wanted; quote it")
        texts[f"{{{name}}}"] = assigned.pop(name.replace("-", "_"), str(default))
    replaced: dict[str, Any] = replace_texts(values, texts)
    return replaced


def replace_texts(value: Any, texts: Mapping[str, str]) -> Any:
    """A value of YAML with each key of `texts` replaced in every text of it, at any depth."""
    if isinstance(value, dict):
        return {key: replace_texts(each, texts) for key, each in value.items()}
    if isinstance(value, list):
        return [replace_texts(each, texts) for each in value]
    for place, text in texts.items() if isinstance(value, str) else ():
        value = value.replace(place, text)
    return value
