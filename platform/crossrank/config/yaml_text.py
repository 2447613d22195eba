"""Values as a configuration file has them: for commands that are printed, and for sentences about a value."""

from __future__ import annotations

from datetime import date
from typing import Any

import yaml

from crossrank.errors import in_short, quoted


def as_yaml(value: Any) -> str:
    """A value as YAML, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return str(text).removesuffix("\n").removesuffix("\n...")


def shown(value: Any) -> str:
    """A wrong value in a sentence: a text in quotes, other values of YAML as it writes them, the rest by its type."""
    if isinstance(value, str):
        return quoted(value, 200)
    if not is_of_yaml(value):
        return f"a {type(value).__name__}"
    return in_short(as_yaml(value))


def is_of_yaml(value: Any) -> bool:
    """Whether a configuration file could hold it."""
    if isinstance(value, dict):
        return all(map(is_of_yaml, [*value, *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(is_of_yaml, value))
    return value is None or isinstance(value, bool | int | float | str | date)
