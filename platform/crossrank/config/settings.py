"""Settings of a verb, declared once: a frozen dataclass whose fields are the flags, the keys of a configuration file
and the lines of the manifest alike.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, field, fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from crossrank import storage
from crossrank.config.nearest import in_place_of, unknown_key
from crossrank.config.yaml_text import is_of_yaml, shown
from crossrank.errors import SettingsError

Settings = TypeVar("Settings")

IN_WORDS: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    tuple: "a list of texts",
}
"""What a field may be."""


WHOLE_MOST = 2**31 - 1
"""The largest whole number of a setting: what takes it in the end, Arrow or a C library, often counts in 32 bits."""
SEED_MOST = 2**63 - 1
"""The largest seed."""


def option(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - click's own word
    changes_rows: bool = True,
    most: int = WHOLE_MOST,
) -> Any:
    """A field that is a flag.

    Args:
        default: MISSING makes the flag required.
        help: one sentence for ``--help``.
        changes_rows: whether another value gives other rows; then it has to match when a job is resumed.
        most: the largest value of a whole number, and its negative the smallest.
    """
    metadata = {"help": help, "changes_rows": changes_rows, "most": most, "flag": True}
    return field(default=default, metadata=metadata)


def knob(
    default: Any,
    *,
    help: str,  # noqa: A002 - click's own word
    changes_rows: bool = True,
    most: int = WHOLE_MOST,
) -> Any:
    """A field that is no flag: a key of the configuration file, or of ``--set KEY=VALUE``. Arguments as `option`."""
    metadata = {"help": help, "changes_rows": changes_rows, "most": most, "flag": False}
    return field(default=default, metadata=metadata)


def from_mapping(
    settings_class: type[Settings],
    values: Mapping[str, Any],
    source: str,
    of_set: Collection[str] = (),
    way_out: str = "give as a flag, or as a key of --config",
    flag: Callable[[str], str] | None = None,
) -> Settings:
    """Settings from the keys of a configuration file, or of flags; each value is checked against its field's type.

    Args:
        source: where the values come from, for a sentence about one of them.
        of_set: the keys that come from ``--set`` instead.
        way_out: where a key that is missing can be given.
        flag: how the name of a field is written where it is asked for; None is as a flag.

    Raises:
        SettingsError: an unknown key, a value of another type, a required key that is missing.
    """
    known = {each.name: each for each in fields(settings_class)}  # type: ignore[arg-type]
    hints = get_type_hints(settings_class)
    checked = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        place = "--set" if key in of_set else source
        if name not in known:
            raise SettingsError(unknown_key(place, key, known))
        checked[name] = _checked(value, hints[name], f"{key} in {place}")
        _refuse_out_of_range(checked[name], known[name].metadata["most"], f"{key} in {place}")
    missing = [name for name, each in known.items() if each.default is MISSING and name not in checked]
    if missing:
        flags = " and ".join(map(flag or _flag, missing))
        raise SettingsError(f"{flags} {'is' if len(missing) == 1 else 'are'} missing; {way_out}")
    return settings_class(**checked)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _kind(hint: Any) -> tuple[type, list[str]]:
    """The plain type of a field, and its choices if it has some."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return str, list(get_args(hint))
    if get_origin(hint) in (tuple, Sequence):
        return tuple, []
    return hint, []


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _refuse_out_of_range(value: Any, most: int, what: str) -> None:
    if isinstance(value, int) and abs(value) > most:
        raise SettingsError(f"{what} is {value}; use a number up to {most}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{what} is {value}; use a finite number")


def _checked(value: Any, hint: Any, what: str) -> Any:
    storage.refuse_keys(str(value))
    kind, choices = _kind(hint)
    optional = type(None) in get_args(hint)
    if value is None and optional:
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is float and isinstance(value, str):  # YAML takes 2e-5 for a text: it wants a point before the e
        value = _number(value)
    if kind is str and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if kind is tuple and isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        value = tuple(value)
    if type(value) is not kind:
        way_out = "" if is_of_yaml(value) or kind is not str else "; write it to a file, and name that"
        raise SettingsError(f"{what} is {shown(value)}, and {IN_WORDS[kind]} is wanted{way_out}")
    if choices and value not in choices:
        raise SettingsError(f"{what} is {shown(value)}; {in_place_of(str(value), choices)}")
    return value
