"""Fields of settings as flags of a command of click."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

import click

from crossrank.cli.next_command import next_command
from crossrank.config.files import assignments, config_values, read_assigned
from crossrank.config.settings import (
    Settings,
    _kind,
    described,
    flag,
    from_mapping,
)
from crossrank.config.usage import OneOf, PlainNumber
from crossrank.telemetry.progress import say_next


def command(settings_class: type[Settings], run: Callable[[Settings], Any]) -> click.Command:
    """The command that takes the fields of `settings_class` as flags, and ``--config FILE`` with the same names.

    Where it has knobs, ``--set KEY=VALUE`` sets one, and ``--help`` lists them at its end.
    """

    def callback(config: str | None, sets: tuple[str, ...] = (), **flags: Any) -> None:
        given = {name: value for name, value in flags.items() if value not in (None, ())}
        assigned = assignments(sets)
        values = {} if config is None else config_values(config, assigned)
        set_ = {key: read_assigned(key, text) for key, text in assigned.items()}
        merged = {**values, **set_, **given}
        settings = from_mapping(settings_class, merged, config or "the flags", of_set=set_.keys() - given.keys())
        say_next(run.__name__, next_command(run.__name__, settings, run(settings)))

    hints = get_type_hints(settings_class)
    options: list[click.Parameter] = [
        click.Option(
            ["--config"], help="YAML file with the same names as the flags, or a recipe by its name; a flag given wins."
        )
    ]
    of_class = fields(settings_class)  # type: ignore[arg-type]
    options += [_click_option(each, hints[each.name]) for each in of_class if each.metadata["flag"]]
    knobs = [each for each in of_class if not each.metadata["flag"]]
    if knobs:
        about = "A key of --config, such as learning_rate=2e-5; may be given several times. See the end of this help."
        options.append(click.Option(["--set", "sets"], multiple=True, metavar="KEY=VALUE", help=about))
    verb = _Command(run.__name__, callback=callback, params=options, help=run.__doc__, epilog=_help_of_knobs(knobs))
    verb.keys = tuple(each.name for each in knobs)
    return verb


class _Command(click.Command):
    """A command whose flags for several values take them one after another: ``--models a=A b=B``."""

    keys: tuple[str, ...] = ()
    """Keys of ``--set`` that are no flags."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        several = {
            name for param in self.params if isinstance(param, click.Option) and param.multiple for name in param.opts
        }
        spread: list[str] = []
        flag = None
        for place, arg in enumerate(args):
            if flag is not None and flag in several and not arg.startswith("-") and args[place - 1] != flag:
                spread.append(flag)
            elif arg.startswith("-"):
                flag = arg
            spread.append(arg)
        return super().parse_args(ctx, spread)


def _help_of_knobs(knobs: list[Field[Any]]) -> str | None:
    if not knobs:
        return None
    lines = "\n".join(f"  {each.name}={_shown(each.default)}: {described(each)}" for each in knobs)
    return f"\b\nKeys of --config and --set, with their defaults:\n{lines}"


def _shown(default: Any) -> str:
    """A default as YAML writes it."""
    return "null" if default is None else str(default).lower() if isinstance(default, bool) else str(default)


def _click_option(each: Field[Any], hint: Any) -> click.Option:
    kind, choices = _kind(hint)
    names = [flag(each.name), each.name]
    text = described(each)
    if each.default is not MISSING and each.default not in (None, False, ()):
        text += f"  [default: {each.default}]"
    elif each.default is MISSING:
        text += "  [required]"
    # Every default is None for click, so that a flag that was not given leaves its value to the configuration file.
    if kind is tuple:
        return click.Option(names, multiple=True, default=None, help=text)
    if kind is bool:
        return click.Option(names, is_flag=True, default=None, help=text)
    of_number = PlainNumber(kind) if kind in (int, float) else kind
    return click.Option(names, type=OneOf(choices) if choices else of_number, default=None, help=text)
