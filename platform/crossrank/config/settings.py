"""Settings of a verb, declared once: a frozen dataclass whose fields are the flags, the keys of a configuration file
and the lines of the manifest alike.
"""

from __future__ import annotations

import math
import numbers
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, Literal, TypedDict, TypeVar, Union, Unpack, get_args, get_origin, get_type_hints

from crossrank import storage
from crossrank.config.bounds import Bounds
from crossrank.config.nearest import in_place_of, unknown_key
from crossrank.config.plain_numbers import plain_float
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
"""Types that a field may have, in the words of an error."""
NUMBERS: dict[type, type] = {int: numbers.Integral, float: numbers.Real}
"""Abstract type of each type of number, which numpy's numbers have too."""


class _Limits(TypedDict, total=False):
    """The arguments of `Bounds`."""

    least: float
    most: float
    above: float
    below: float
    refusal: str


def option(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - click's own word
    affects_output: bool = True,
    **bounds: Unpack[_Limits],
) -> Any:
    """A field that is a flag.

    Args:
        default: MISSING makes the flag required.
        help: one sentence for ``--help``.
        affects_output: whether another value gives other rows; then it has to match when a job is resumed.
        bounds: the numbers that it takes, as `Bounds` has them; `CheckedSettings` refuses others, and ``--help`` says
            which they are.
    """
    return _declared(default, help, affects_output, bounds, is_flag=True)


def knob(
    default: Any,
    *,
    help: str,  # noqa: A002 - click's own word
    affects_output: bool = True,
    **bounds: Unpack[_Limits],
) -> Any:
    """A field that is no flag: a key of the configuration file, or of ``--set KEY=VALUE``. Arguments as `option`."""
    return _declared(default, help, affects_output, bounds, is_flag=False)


def _declared(default: Any, text: str, affects_output: bool, bounds: _Limits, *, is_flag: bool) -> Any:
    metadata = {"help": text, "affects_output": affects_output, "bounds": Bounds(**bounds), "flag": is_flag}
    return field(default=default, metadata=metadata)


def flag(name: str) -> str:
    """The flag of a setting: ``--top-n`` for ``top_n``."""
    return f"--{name.replace('_', '-')}"


def as_written(each: Field[Any]) -> str:
    """The name of a setting as a person writes it: a flag with its dashes, a knob as the key that it is."""
    return flag(each.name) if each.metadata["flag"] else each.name


def described(each: Field[Any]) -> str:
    """The help of a setting, with the numbers that it takes."""
    bounds: str | None = each.metadata["bounds"].in_words
    return each.metadata["help"] + (f" [{bounds}]" if bounds else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedSettings:
    """Base of the settings of every verb: however they are made, no number lies outside its bounds.

    A class refuses in `check` values that do not go together. The `check` of every class of the hierarchy is called,
    the base's first: none has to call that of its base, and none can forget to.
    """

    def __post_init__(self) -> None:
        _refuse_out_of_bounds(self)
        for each in reversed(type(self).__mro__):
            if "check" in vars(each):
                vars(each)["check"](self)

    def check(self) -> None:
        """Refuse settings that do not go together; each number by itself is within its bounds."""


def _refuse_out_of_bounds(settings: CheckedSettings) -> None:
    hints = get_type_hints(type(settings))
    for each in fields(settings):
        value = getattr(settings, each.name)
        kind, _ = _kind(hints[each.name])
        if kind not in NUMBERS or (value is None and type(None) in get_args(hints[each.name])):
            continue
        is_number = isinstance(value, NUMBERS[kind]) and not isinstance(value, bool)
        if not is_number:
            raise SettingsError(f"{as_written(each)} is {shown(value)}, and {IN_WORDS[kind]} is wanted")
        way_out = each.metadata["bounds"].way_out(int(value) if kind is int else _as_float(value))
        if way_out is not None:
            raise SettingsError(f"{as_written(each)} is {_as_typed(value)}{way_out}")


def _as_typed(value: float) -> str:
    """A number as it was typed: 0 for 0.0."""
    return str(value).removesuffix(".0")


def _as_float(value: float) -> float:
    """A number as a float; infinity for a whole number that is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def from_mapping(
    settings_class: type[Settings],
    values: Mapping[str, Any],
    source: str,
    of_set: Collection[str] = (),
    way_out: str = "give as a flag, or as a key of --config",
    name_of: Callable[[str], str] = flag,
) -> Settings:
    """Settings from the keys of a configuration file, or of flags; each value is checked against its field's type.

    Args:
        source: where the values come from, for a sentence about one of them.
        of_set: keys that come from ``--set`` instead.
        way_out: where a missing key can be given, for the sentence about it.
        name_of: writes the name of a missing field for that sentence.

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
        _refuse_out_of_range(checked[name], known[name].metadata["bounds"].largest, f"{key} in {place}")
    missing = [name for name, each in known.items() if each.default is MISSING and name not in checked]
    if missing:
        flags = " and ".join(map(name_of, missing))
        raise SettingsError(f"{flags} {'is' if len(missing) == 1 else 'are'} missing; {way_out}")
    return settings_class(**checked)


def _kind(hint: Any) -> tuple[type, list[str]]:
    """The plain type of a field, and its choices, if it has any."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is Literal:
        return str, list(get_args(hint))
    if get_origin(hint) in (tuple, Sequence):
        return tuple, []
    return hint, []


def _number(text: str) -> float | str:
    try:
        return plain_float(text)
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
        value = _as_float(value)
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
