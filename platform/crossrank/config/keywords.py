"""A verb as a function of Python: the flags are its keywords, and what is wrong with one is our own error."""

from __future__ import annotations

import inspect
import numbers
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar, get_type_hints

from crossrank.config.settings import described, from_mapping
from crossrank.errors import SettingsError

P = ParamSpec("P")
Settings = TypeVar("Settings")
Result = TypeVar("Result")

BY_NAME = "give what is missing by its name"
RAISES = """\
Raises:
    UserError: an input or a keyword is wrong; the message says how to put it right.
    JobFailed: the work itself failed; the same call goes on from there."""


def keywords_of(settings_class: Callable[P, Settings]) -> Callable[[Callable[[Settings], Result]], Callable[P, Result]]:
    """Give a function that takes settings the fields of the settings as keywords.

    Its signature, for `help` and editors, is that of `settings_class`; its docstring lists every keyword.
    """
    assert isinstance(settings_class, type), "a dataclass"

    def decorate(run: Callable[[Settings], Result]) -> Callable[P, Result]:
        def verb(*args: P.args, **flags: P.kwargs) -> Result:
            name = f"crossrank.{run.__name__}()"
            if args:
                raise SettingsError(f"{name} takes its flags by name; write {run.__name__}({_example(settings_class)})")
            values = {key: _plain(value) for key, value in flags.items()}
            settings: Settings = from_mapping(settings_class, values, name, way_out=BY_NAME, name_of=str)
            return run(settings)

        verb.__name__ = verb.__qualname__ = run.__name__
        verb.__module__ = "crossrank"
        verb.__doc__ = _docstring(run.__doc__ or "", settings_class)
        verb.__signature__ = _signature(settings_class, run)  # type: ignore[attr-defined]
        return verb

    return decorate


def _signature(settings_class: type[Any], run: Callable[..., Any]) -> inspect.Signature:
    """The required keywords first, then the rest in the order of the flags, with their types."""
    hints = get_type_hints(settings_class)
    parameters = [
        each.replace(annotation=hints[each.name]) for each in inspect.signature(settings_class).parameters.values()
    ]
    parameters.sort(key=lambda each: each.default is not each.empty)
    return inspect.Signature(parameters, return_annotation=get_type_hints(run)["return"])


def _example(settings_class: type[Any]) -> str:
    required = [
        each.name for each in inspect.signature(settings_class).parameters.values() if each.default is each.empty
    ]
    return ", ".join(f"{name}=..." for name in required)


def _docstring(written: str, settings_class: type[Any]) -> str:
    """The written docstring, with every keyword listed before its ``Returns``."""
    summary, returns, rest = inspect.cleandoc(written).partition("Returns:")
    keywords = [f"    {each.name}: {described(each)}" for each in fields(settings_class)]
    return "\n".join([summary.rstrip(), "", "Args:", *keywords, "", f"{returns}{rest}".rstrip(), "", RAISES])


def _plain(value: Any) -> Any:
    """A value as a configuration file would have it: paths as texts, numbers of numpy as numbers, names to values as
    a list of ``NAME=VALUE``.
    """
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Mapping):
        return [f"{name}={_plain(each)}" for name, each in value.items()]
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
